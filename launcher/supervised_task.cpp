#include "launcher/supervised_task.hpp"

#include "launcher/run_folder.hpp"

namespace muster {

bool SupervisedTask::may_wait_for_slurm() {
  const auto now = std::chrono::steady_clock::now();
  if (!refused_since) refused_since = now;
  not_before = now + kRefusedWait;
  return now - *refused_since < std::chrono::minutes(10);
}

SupervisedTask supervised(const PlannedTask& planned, const ExperimentPaths& experiment) {
  SupervisedTask task;
  task.number = planned.number;
  task.name = task_name(planned.number, planned.task.label);
  task.task = planned.task;
  task.paths = experiment.task(planned.task.folder_name());
  return task;
}

}  // namespace muster
