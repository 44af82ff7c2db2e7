#pragma once
/// How far the tasks that a task needs have come, as the launcher sees it that drives the run.

#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/run_paths.hpp"
#include "launcher/supervised_task.hpp"

namespace muster {

enum class NeedsState {
  done,       ///< all of them
  open,       ///< some are still to come
  stopped,    ///< one was stopped: it comes in another launcher
  cancelled,  ///< one was cancelled: it comes when somebody goes on with the run
  failed,     ///< one failed for good, or is blocked itself
};

struct NeedsView {
  NeedsState state = NeedsState::done;
  std::string reason;  ///< of stopped and failed: "needs task-3-experts-a, which failed"
};

/// "needs NAME, which failed": why a task that needs this one does not begin.
std::string needs_text(const std::string& name, TaskState state);

/// Tasks that this launcher drives speak for themselves; of others, as in a job that has one task alone,
/// their folders. Not thread-safe.
class TaskNeeds {
 public:
  /// `in_job`: what Slurm let this launcher wait for was done on another host, and is looked for a while
  /// before it counts as missing.
  TaskNeeds(ExperimentPaths experiment, bool in_job);

  /// `tasks` are the launcher's, always the same ones in the same order.
  NeedsView look(const SupervisedTask& task, const std::vector<SupervisedTask>& tasks);

 private:
  NeedsView look_elsewhere(const std::string& folder) const;

  ExperimentPaths experiment_;
  std::chrono::steady_clock::time_point look_until_;
  std::map<std::string, std::size_t> index_;  ///< of the launcher's tasks, by folder name
};

}  // namespace muster
