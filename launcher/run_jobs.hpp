#pragma once
/// The jobs of a run: what was asked of Slurm, and what Slurm says of it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "launcher/submission.hpp"
#include "slurm/batch_system.hpp"

namespace muster {

/// One submission and its job.
struct RunJob {
  Submission submission;
  /// As Slurm tells them: one; of an array each element that has begun, and those that wait as ranges. Empty
  /// where Slurm knows of none any more, or was not asked.
  std::vector<JobStatus> parts;

  /// Some of it waits, runs, or is in a state that nobody knows.
  bool lives() const;
  /// What there is of the task; nullptr where nothing is.
  const JobStatus* of_task(int number) const;
};

struct RunJobs {
  std::vector<RunJob> jobs;  ///< by submission, ascending
  std::string silence;       ///< why Slurm did not tell; empty: it did

  bool any_lives() const;
  /// The newest job that was asked for the task; nullptr where none was.
  const RunJob* job_of(int number) const;
};

/// Asks `system` once about all of them; where it is null, or does not answer, the files alone speak. A job
/// whose answer got lost is found by its token, and its id written down. Throws Error(storage).
RunJobs look_at_jobs(const RunPaths& run, BatchSystem* system);

/// Pure: which of `states` belong to which submission, by id and token together: an id that Slurm lost may be
/// somebody else's by now. A submission without id gets it from the job with its token.
std::vector<RunJob> match_jobs(std::vector<Submission> submissions, const std::vector<JobStatus>& states);

/// Slurm as the run knows it, without asking. nullptr where no job is in play.
std::unique_ptr<BatchSystem> batch_system_of(const RunPaths& run);

/// in_plain_words, and what the exit codes of a job of muster mean: "saved and stopped".
std::string words_of(const JobStatus& status);

/// Whether "8-20%4" or "3,5-7" holds the index; "..." (cut off by Slurm) holds any that is not below.
bool holds_index(const std::string& ranges, int index);

}  // namespace muster
