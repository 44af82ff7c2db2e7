#pragma once
/// How the tasks of a run stand, by files and jobs.

#include <optional>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "launcher/job_watch.hpp"
#include "launcher/run_folder.hpp"

namespace muster {

struct TaskStatus {
  ListedTask listed;
  /// A TaskState's name ("blocked": it needs one that failed); "interrupted": its gang is gone, and nobody
  /// has done the books yet; "elsewhere": claimed on a host that cannot be asked.
  std::string state;
  int attempts = 0;
  double seconds = 0;
  std::string detail;  ///< progress of a running gang, what a waiting one waits for, else why it ended
  std::vector<int> waits_for{};         ///< numbers of tasks that it needs and that are not done
  std::string job;                      ///< "17", "17_3"; empty: none was asked for
  std::optional<JobStatus> job_status;  ///< nullopt: Slurm does not know it, or was not asked
};

/// In the order of the plan. Slurm is asked no more than `watch` does.
std::vector<TaskStatus> task_statuses(const ExperimentPaths& experiment, const RunPaths& run,
                                      JobWatch& watch);

/// "3 done, 2 running, 5 pending", in the order of a task's life.
std::string counts_text(const std::vector<TaskStatus>& tasks);

/// A line for each job that lives, and for the last one where none does: "job 17 (4 tasks) runs on n1".
std::vector<std::string> job_lines(const RunJobs& jobs);

/// Nothing more will happen by itself: all is done, or no job and no launcher lives.
bool is_over(const std::vector<TaskStatus>& tasks, const RunJobs& jobs, bool driven);

}  // namespace muster
