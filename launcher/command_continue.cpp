#include "launcher/command_continue.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <optional>

#include "core/error.hpp"
#include "launcher/packer.hpp"
#include "launcher/run_driver.hpp"
#include "launcher/run_tasks.hpp"
#include "launcher/task_on_disk.hpp"

namespace muster {

namespace {

struct ContinueOptions {
  std::filesystem::path run;
  std::optional<int> task;
  int first = 0;
  DriveOptions drive;
};

/// The task that this process is for: asked for, or by the index of the job array that it is an element of.
std::optional<int> own_task(const ContinueOptions& options, const Place& place) {
  if (options.task) return options.task;
  if (!place.job || place.job->array_task.empty()) return std::nullopt;
  return options.first + std::atoi(place.job->array_task.c_str());
}

/// Where a run and its tasks' folders lie, by the run's folder.
ExperimentPaths experiment_of(const std::filesystem::path& run) {
  const std::filesystem::path experiment = run.parent_path();
  return ExperimentPaths(experiment.parent_path(), experiment.filename().string());
}

void require_room(const Plan& plan, const ExperimentPaths& paths, const Place& place) {
  const Packer packer(place.allocation->slots());
  for (const PlannedTask& planned : plan.tasks) {
    if (look_at_task(paths.task(planned.task.folder_name())).done) continue;
    place.allocation->check(planned.task);
    if (packer.can_fit(planned.task.resources)) continue;
    throw Error(ExitCode::resources,
                "task-" + std::to_string(planned.number) + " (" + planned.task.label +
                    ") has no room in this allocation",
                "go on in one with more CPUs or GPUs a host, or more hosts");
  }
}

int continue_run(const ContinueOptions& options) {
  const RunPaths run(std::filesystem::absolute(options.run).lexically_normal());
  const ExperimentPaths paths = experiment_of(run.folder());
  Plan plan;
  plan.experiment = paths.folder().filename().string();
  plan.tasks = read_run_tasks(run);
  Place place = find_place(std::nullopt, std::nullopt, run.slurm());
  DriveOptions drive = options.drive;
  if (const auto task = own_task(options, place)) {
    std::erase_if(plan.tasks, [&](const PlannedTask& planned) { return planned.number != *task; });
    if (plan.tasks.empty()) {
      throw Error(ExitCode::usage,
                  "the run " + run.folder().string() + " has no task " + std::to_string(*task),
                  "see 'muster status' for those it has");
    }
    drive.part = part_of(*task);
  }
  require_room(plan, paths, place);
  auto claim = std::make_unique<LauncherClaim>(run, drive.part, place.liveness_of);
  return drive_run({paths, run, std::move(plan), std::move(claim), false}, place, drive);
}

}  // namespace

void add_continue_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ContinueOptions>();
  CLI::App* command =
      app.add_subcommand("continue", "Go on with a run as it was planned; what submitted jobs do");
  command->footer("Example: muster continue results/runs/quickstart/2026-11-21T10-15-07");
  command->add_option("RUN", options->run, "The run's folder")->required();
  command->add_option("--task", options->task,
                      "This task alone, by its number (else all; in a job array the element's)");
  command->add_option("--first", options->first,
                      "The task of index 0, in a job array; Slurm bounds indices, not tasks");
  command->add_flag("--quiet", options->drive.quiet, "Print the table at the end alone");
  command->add_flag("--json", options->drive.json, "Print the table as JSON; progress goes to stderr");
  command->callback([options, &exit_code] { exit_code = continue_run(*options); });
}

}  // namespace muster
