#include "launcher/command_plan.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/run_paths.hpp"
#include "launcher/experiment_options.hpp"
#include "launcher/local_allocation.hpp"
#include "launcher/plan.hpp"
#include "launcher/run_folder.hpp"
#include "launcher/task_on_disk.hpp"
#include "launcher/text_table.hpp"
#include "launcher/workload_catalog.hpp"

namespace muster {

namespace {

struct PlanOptions {
  ExperimentOptions experiment;
  bool json = false;
};

void print_json(const Plan& plan, const std::vector<TaskOnDisk>& on_disk) {
  auto json = nlohmann::ordered_json::parse(plan_to_json(plan));
  for (std::size_t i = 0; i < on_disk.size(); ++i) {
    auto& task = json["tasks"][i];
    task["done"] = on_disk[i].done;
    task["attempts"] = on_disk[i].attempts;
    task["checkpoint_step"] =
        on_disk[i].checkpoint_step ? nlohmann::ordered_json(*on_disk[i].checkpoint_step) : nullptr;
  }
  std::printf("%s\n", json.dump(1).c_str());
}

void print_table(const Plan& plan, const std::vector<TaskOnDisk>& on_disk, const Capacity& capacity) {
  TextTable table({"task", "label", "id", "ranks", "cpus", "gpus", "state"});
  int done = 0;
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
    const PlannedTask& planned = plan.tasks[i];
    const Resources& resources = planned.task.resources;
    done += on_disk[i].done ? 1 : 0;
    table.add_row({"task-" + std::to_string(planned.number), planned.task.label, planned.task.id,
                   std::to_string(resources.ranks), std::to_string(resources.ranks * resources.cpus_per_rank),
                   std::to_string(resources.ranks * resources.gpus_per_rank),
                   planned.refusal ? "refused: " + planned.refusal->problem : on_disk[i].text()});
  }
  std::fputs(table.text().c_str(), stdout);
  const auto count = [](int number, const std::string& noun) {
    return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
  };
  std::printf("%s, %d done; room: %s, %s\n", count(static_cast<int>(plan.tasks.size()), "task").c_str(), done,
              count(capacity.cpus, "CPU").c_str(), count(capacity.gpus, "GPU").c_str());
}

/// Prints the plan; then throws Error(resources) where a task has no room.
void plan_experiment(const PlanOptions& options) {
  const Experiment experiment = read_experiment(options.experiment.file);
  const FoundWorkload workload = find_workload(experiment);
  const std::vector<Task> tasks =
      make_tasks(experiment, workload.schema, workload.plugin, options.experiment.runs);
  const ExperimentPaths paths(options.experiment.runs, experiment.name);
  const Capacity capacity = capacity_of({local_slots(options.experiment.cpus, options.experiment.gpus)});
  const Plan plan = make_plan(experiment, tasks, capacity, earlier_run(paths, tasks).numbers);
  std::vector<TaskOnDisk> on_disk;
  for (const PlannedTask& planned : plan.tasks)
    on_disk.push_back(look_at_task(paths.task(planned.task.folder_name())));
  if (options.json) {
    print_json(plan, on_disk);
  } else {
    print_table(plan, on_disk, capacity);
  }
  require_no_refusal(plan);
}

}  // namespace

void add_plan_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<PlanOptions>();
  CLI::App* command = app.add_subcommand("plan", "Show an experiment's tasks and what is done of them");
  command->footer("Example: muster plan experiments/quickstart.toml");
  add_experiment_options(*command, options->experiment);
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &exit_code] {
    plan_experiment(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
}

}  // namespace muster
