#include "launcher/command_plan.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/resource_values.hpp"
#include "core/run_paths.hpp"
#include "launcher/experiment_options.hpp"
#include "launcher/local_allocation.hpp"
#include "launcher/plan.hpp"
#include "launcher/run_folder.hpp"
#include "launcher/task_on_disk.hpp"
#include "launcher/tasks_text.hpp"
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

/// A line a stage: how large it is, and whose artifacts it takes.
void print_stages(const Experiment& experiment, const Plan& plan, const std::vector<TaskOnDisk>& on_disk) {
  if (experiment.stages.empty()) return;
  TextTable table({"stage", "workload", "tasks", "done", "takes from"});
  for (const Experiment& stage : experiment.stages) {
    int tasks = 0, done = 0;
    for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
      if (plan.tasks[i].task.stage != stage.stage) continue;
      ++tasks;
      done += on_disk[i].done ? 1 : 0;
    }
    std::set<std::string> names;
    for (const auto& [parameter, references] : stage.references) {
      for (const Reference& reference : references.items) names.insert(reference.stage);
    }
    std::string from;
    for (const std::string& name : names) from += (from.empty() ? "" : ", ") + name;
    table.add_row({stage.stage, stage.workload, std::to_string(tasks), std::to_string(done),
                   from.empty() ? "-" : from});
  }
  std::printf("%s\n", table.text().c_str());
}

void print_table(const Plan& plan, const std::vector<TaskOnDisk>& on_disk, const Capacity& capacity) {
  std::vector<std::string> header{"task", "label", "id", "ranks", "cpus", "gpus", "state"};
  const bool has_stages = std::any_of(plan.tasks.begin(), plan.tasks.end(),
                                      [](const PlannedTask& planned) { return !planned.task.stage.empty(); });
  if (has_stages) header.emplace_back("waits for");
  TextTable table(header);
  std::set<int> finished;
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
    if (on_disk[i].done) finished.insert(plan.tasks[i].number);
  }
  for (std::size_t i = 0; i < plan.tasks.size(); ++i) {
    const PlannedTask& planned = plan.tasks[i];
    const Resources& resources = planned.task.resources;
    std::vector<std::string> row{
        "task-" + std::to_string(planned.number),
        planned.task.label,
        planned.task.id,
        std::to_string(resources.ranks),
        std::to_string(resources.ranks * resources.cpus_per_rank),
        gpu_amount(resources),
        planned.refusal ? "refused: " + planned.refusal->problem : on_disk[i].text()};
    std::vector<int> open;
    std::copy_if(planned.needs.begin(), planned.needs.end(), std::back_inserter(open),
                 [&](int needed) { return !finished.contains(needed); });
    if (has_stages) row.push_back(on_disk[i].done || open.empty() ? "-" : tasks_text(open));
    table.add_row(row);
  }
  std::fputs(table.text().c_str(), stdout);
  const auto count = [](int number, const std::string& noun) {
    return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
  };
  std::printf("%s, %zu done; room: %s, %s\n", count(static_cast<int>(plan.tasks.size()), "task").c_str(),
              finished.size(), count(capacity.cpus, "CPU").c_str(), count(capacity.gpus, "GPU").c_str());
}

/// Prints the plan; then throws Error(resources) where a task has no room.
void plan_experiment(const PlanOptions& options) {
  const Experiment experiment = read_experiment(options.experiment.file);
  const std::vector<Task> tasks = make_tasks(experiment, find_workloads(experiment), options.experiment.runs);
  const ExperimentPaths paths(options.experiment.runs, experiment.name);
  const Capacity capacity = capacity_of({local_slots(options.experiment.cpus, options.experiment.gpus)});
  const Plan plan = make_plan(experiment, tasks, capacity, earlier_run(paths, tasks).numbers);
  std::vector<TaskOnDisk> on_disk;
  for (const PlannedTask& planned : plan.tasks)
    on_disk.push_back(look_at_task(paths.task(planned.task.folder_name())));
  if (options.json) {
    print_json(plan, on_disk);
  } else {
    print_stages(experiment, plan, on_disk);
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
