#pragma once
/// Real gangs for tests: a task's folder, mpirun and muster-runner in it.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "core/task.hpp"

namespace muster {

std::filesystem::path plugin_path(const std::string& name);

/// A folder of its own under the temporary folder, removed at the end.
class TaskFolder {
 public:
  explicit TaskFolder(int ranks, const Parameters& given = {}, const std::string& plugin = "counting");
  ~TaskFolder();
  TaskFolder(const TaskFolder&) = delete;
  TaskFolder& operator=(const TaskFolder&) = delete;

  Task task;
  void write() const;  ///< after `task` was changed
  TaskPaths paths() const { return TaskPaths(root_ / "task"); }
  AttemptPaths attempt(int number) const { return AttemptPaths(paths().attempt(number)); }

  std::string log(int number) const;
  std::vector<std::string> events(int number) const;  ///< names
  /// The `step` column of an attempt's metrics.
  std::vector<std::int64_t> metric_steps(int number) const;
  std::vector<std::string> checkpoints() const;  ///< folder names, hidden ones too, sorted
  std::string final_sums() const;

 private:
  std::filesystem::path root_;
};

/// One attempt, running.
class Gang {
 public:
  Gang(const TaskFolder& folder, int attempt, const std::map<std::string, std::string>& environment = {});
  ~Gang();
  Gang(const Gang&) = delete;
  Gang& operator=(const Gang&) = delete;

  pid_t pid() const { return pid_; }  ///< mpirun's
  std::vector<ProcessIdentity> ranks() const;
  /// Exit status as a shell gives it; -1 where it still runs after `limit`.
  int wait(std::chrono::seconds limit = std::chrono::seconds(20));

 private:
  pid_t pid_ = -1;
};

/// Starts an attempt and waits for its end.
int run_gang(const TaskFolder& folder, int attempt,
             const std::map<std::string, std::string>& environment = {});

/// Polls until `holds` does; false after ten seconds.
bool becomes_true(const std::function<bool()>& holds);

}  // namespace muster
