#pragma once
/// What a run has asked of the batch system: one folder a submission, written before the request goes out.
/// docs/slurm.md describes the protocol.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "slurm/job_request.hpp"

namespace muster {

enum class SubmissionKind { pack, array };

/// `RUN/submissions/N/request.json`, and `job.json` once Slurm has answered.
struct Submission {
  int number = 0;
  SubmissionKind kind = SubmissionKind::pack;
  std::string token;        ///< in the job's comment: "muster:RUN-KEY:N"
  std::vector<int> tasks;   ///< numbers; of an array its indices
  JobRequest request;
  std::optional<std::string> job;  ///< none: not answered yet, or the answer was lost
};

/// Takes the next number, fills `token`, and writes request.json and script.sh, fsynced. Throws Error(storage).
Submission open_submission(const RunPaths& run, SubmissionKind kind, std::vector<int> tasks, JobRequest request,
                           const std::string& script);
/// The batch system's answer, durably.
void answer_submission(const RunPaths& run, Submission& submission, const std::string& job);
/// Ascending by number. Throws Error(storage) where one is damaged.
std::vector<Submission> read_submissions(const RunPaths& run);
/// Begins each token of the run: "muster:RUN-KEY:". The key hashes the run folder's absolute path.
std::string token_prefix(const RunPaths& run);

}  // namespace muster
