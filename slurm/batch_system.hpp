#pragma once
/// A batch system as the launcher sees it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "slurm/capabilities.hpp"
#include "slurm/job_request.hpp"
#include "slurm/job_state.hpp"

namespace muster {

/// One host of the job that this process runs in.
struct JobHost {
  std::string name;
  int cpus = 0;
  int gpus = 0;
};

/// The job that this process runs in, as the environment and Slurm tell it.
struct OwnJob {
  std::string id;  ///< own id of an array element
  std::string array_job, array_task;
  int restarts = 0;
  std::vector<JobHost> hosts;
  std::optional<std::int64_t> end;  ///< unix seconds: when the time limit comes
};

/// What happens to what was asked, in Slurm's own words where it refuses: Error(resources). Error(busy) where
/// the controller does not answer.
class BatchSystem {
 public:
  virtual ~BatchSystem() = default;

  /// Returns the job's id.
  virtual std::string submit(const JobRequest& request) = 0;
  /// All jobs of this user whose comment begins with `token_prefix`, and those of `jobs` ("12", "12_3"), in
  /// one call of squeue. Where there is accounting, one of sacct follows for those of `jobs` that squeue no
  /// longer knows; or, without `jobs`, for a token that squeue does not know. What nobody knows is left out.
  /// The last element's own id is its array's.
  virtual std::vector<JobStatus> states(const std::vector<std::string>& jobs,
                                        const std::string& token_prefix = "") = 0;
  /// What waits of the job is cancelled; what runs gets 'save and stop', as SIGTERM to its batch script
  /// alone.
  virtual void ask_to_stop(const std::string& job) = 0;
  virtual void cancel(const std::string& job) = 0;
  /// Back into the queue. False where the site or the job does not allow it.
  virtual bool requeue(const std::string& job) = 0;
};

std::unique_ptr<BatchSystem> make_slurm(SlurmCapabilities capabilities);

/// nullopt outside of a job. Asks Slurm once for CPUs and GPUs of each host.
std::optional<OwnJob> own_job();
/// Pure part: `scontrol -d -o show job ID`.
std::vector<JobHost> parse_job_hosts(const std::string& text);

}  // namespace muster
