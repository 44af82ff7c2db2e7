#pragma once
/// What a run has asked of the batch system: one folder a submission, written before the request goes out.
/// docs/slurm.md describes the protocol.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "slurm/job_request.hpp"

namespace muster {

enum class SubmissionKind { pack, array };

/// `RUN/submissions/N/request.json`, and `job.json` once Slurm has answered.
struct Submission {
  int number = 0;
  SubmissionKind kind = SubmissionKind::pack;
  std::string token;       ///< in the job's comment: "muster:RUN-KEY:N"
  std::vector<int> tasks;  ///< numbers
  int first = 0;           ///< of an array: the number of the task with index 0
  JobRequest request;
  ProcessIdentity submitter;       ///< who calls sbatch
  double unix_time = 0;            ///< when
  std::optional<std::string> job;  ///< none: not answered yet, or the answer was lost
};

/// Takes the next number, fills `token` and the request's token and output, and writes request.json and
/// script.sh, fsynced: all of it is there or nothing. Throws Error(storage).
Submission open_submission(const RunPaths& run, SubmissionKind kind, std::vector<int> tasks,
                           JobRequest request, const std::string& script, int first = 0);
/// The batch system's answer, durably.
void answer_submission(const RunPaths& run, Submission& submission, const std::string& job);
/// Slurm refused it: nothing of it will run. Durably.
void withdraw_submission(const RunPaths& run, const Submission& submission);
/// Ascending by number, without those withdrawn. Throws Error(storage) where one is damaged.
std::vector<Submission> read_submissions(const RunPaths& run);
/// What the batch script printed; of an array the element that is for `task`. Empty without a job.
std::filesystem::path output_of(const Submission& submission, int task);
/// Begins each token of the run: "muster:RUN-KEY:". The key hashes the run folder's absolute path.
std::string token_prefix(const RunPaths& run);

}  // namespace muster
