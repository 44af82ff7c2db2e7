#pragma once
/// Which run `muster run` goes on with, and the making of a new one.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "core/run_paths.hpp"
#include "core/task.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/packer.hpp"
#include "launcher/plan.hpp"

namespace muster {

/// A task as a run's plan.json names it.
struct ListedTask {
  int number = 0;
  std::string id;
  std::string label;
  std::string folder;
  std::string stage{};       ///< empty: the experiment has none
  std::vector<int> needs{};  ///< numbers of the tasks that must be done before

  /// "task-0-LABEL": how log lines and messages name it.
  std::string name() const;
};

std::string task_name(int number, const std::string& label);

/// The tasks of the run, without retired ones. Throws Error(storage) where the file is missing or damaged.
std::vector<ListedTask> read_listed_tasks(const RunPaths& run);

/// What `muster run` goes on from.
struct EarlierRun {
  std::optional<RunPaths> same;       ///< the newest run with just these tasks, finished or not
  std::vector<NumberedTask> numbers;  ///< its numbers, else the newest run's
};

/// Throws Error(storage) where a plan is damaged.
EarlierRun earlier_run(const ExperimentPaths& experiment_paths, const std::vector<Task>& tasks);

struct OpenedRun {
  RunPaths paths;
  Plan plan;
  std::unique_ptr<LauncherClaim> claim;
  bool is_new = false;
};

/// The earlier run with just these tasks, else a new one. Either way this process drives it then. Throws
/// Error(resources) where a task has no room, Error(busy) where another launcher drives the run,
/// Error(storage); then nothing is left of a new one.
OpenedRun open_run(const ExperimentPaths& experiment_paths, const Experiment& experiment,
                   const std::vector<Task>& tasks, const std::vector<Slots>& slots,
                   const LivenessOf& liveness_of = liveness);

}  // namespace muster
