#pragma once
/// The jobs of a run, for somebody who looks again and again.

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/run_jobs.hpp"
#include "slurm/batch_system.hpp"

namespace muster {

/// Asks Slurm when it is made and then at most every `ask_every`; in between, and where Slurm is not there or
/// silent, the last answer and the files speak.
class JobWatch {
 public:
  /// `system` may be null.
  JobWatch(RunPaths run, std::unique_ptr<BatchSystem> system,
           std::chrono::seconds ask_every = std::chrono::seconds(30));

  /// Asks again where it is time to. Throws Error(storage).
  void refresh();

  const RunJobs& jobs() const { return jobs_; }
  /// Whether a claim's process lives: by this host's word, else by its job's. A job that is none of this
  /// run's is unknown till resolve_strangers().
  LivenessOf liveness_of();
  /// Asks for those jobs, all at once; true where that brought news, so that whoever asked for liveness
  /// should do so again.
  bool resolve_strangers();

 private:
  void note(const std::vector<JobStatus>& states);
  Liveness by_job(const ProcessIdentity& process);

  RunPaths run_;
  std::unique_ptr<BatchSystem> system_;
  std::chrono::seconds ask_every_;
  std::chrono::steady_clock::time_point asked_;
  RunJobs jobs_;
  std::map<std::string, JobStatus> by_id_;  ///< an element's by its own id
  std::set<std::string> strangers_;         ///< asked for, not known yet
  std::set<std::string> known_strangers_;   ///< that Slurm was asked about
};

}  // namespace muster
