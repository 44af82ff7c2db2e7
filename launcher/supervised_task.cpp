#include "launcher/supervised_task.hpp"

#include "launcher/run_folder.hpp"

namespace muster {

SupervisedTask supervised(const PlannedTask& planned, const ExperimentPaths& experiment) {
  SupervisedTask task;
  task.number = planned.number;
  task.name = task_name(planned.number, planned.task.label);
  task.task = planned.task;
  task.paths = experiment.task(planned.task.folder_name());
  return task;
}

}  // namespace muster
