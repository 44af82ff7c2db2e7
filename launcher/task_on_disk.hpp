#pragma once
/// What a task's folder says has been done.

#include <cstdint>
#include <optional>
#include <string>

#include "core/run_paths.hpp"

namespace muster {

struct TaskOnDisk {
  bool done = false;
  int attempts = 0;                             ///< the highest attempt's number
  std::optional<std::int64_t> checkpoint_step;  ///< of the newest whole checkpoint

  /// "done", "checkpoint at step 120", "tried 2 times", "new".
  std::string text() const;
};

/// Reads names only; a folder that is not there is a new task.
TaskOnDisk look_at_task(const TaskPaths& paths);

}  // namespace muster
