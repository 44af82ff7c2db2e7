#pragma once
/// Why a task stands as it does: from its files, its run's submissions, and Slurm.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "launcher/run_jobs.hpp"
#include "launcher/task_status.hpp"

namespace muster {

/// One try at the task.
struct AttemptStory {
  int number = 0;
  std::vector<std::string> hosts;
  std::vector<std::string> gpus;  ///< of all ranks; in a job counted, not named
  int gpu_count = 0;
  std::string job;  ///< that it ran in; empty: none
  std::optional<double> seconds;
  std::string end;  ///< "saved and stopped"; empty: it runs
};

struct Explanation {
  std::string why;     ///< "waits: job 17 waits for 1 node with 4 CPUs; 12 jobs ahead"
  std::string advice;  ///< empty: nothing is to be done
};

/// Oldest first. Reads the attempts' files and the run's journal.
std::vector<AttemptStory> attempts_of(const TaskPaths& task, const RunPaths& run, const std::string& folder);

/// How many jobs a waiting one has before it; nullopt where that is not known.
using AheadOf = std::function<std::optional<int>(const JobStatus&)>;

/// Pure but for `ahead_of`. `running`: how many tasks of the run are at work.
Explanation explain(const TaskStatus& task, const RunJobs& jobs, int running, bool driven,
                    const AheadOf& ahead_of);

/// "waits for 2 nodes with 16 CPUs and 4 GPUs of gpu:a100 each; 12 jobs ahead", "ran into its time limit".
std::string words_of_job(const RunJob& job, const JobStatus& status, const AheadOf& ahead_of);

}  // namespace muster
