#include "launcher/command_run.hpp"

#include <CLI/CLI.hpp>
#include <memory>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "launcher/experiment_options.hpp"
#include "launcher/run_driver.hpp"
#include "launcher/run_folder.hpp"
#include "launcher/task_on_disk.hpp"
#include "launcher/workload_catalog.hpp"

namespace muster {

namespace {

struct RunOptions {
  ExperimentOptions experiment;
  DriveOptions drive;
};

int run_experiment(const RunOptions& options) {
  const Experiment experiment = read_experiment(options.experiment.file);
  const auto runs_root = std::filesystem::absolute(options.experiment.runs).lexically_normal();
  const std::vector<Task> tasks = make_tasks(experiment, find_workloads(experiment), runs_root);
  Place place = find_place(options.experiment.cpus, options.experiment.gpus);
  const ExperimentPaths paths(runs_root, experiment.name);
  for (const Task& task : tasks) {
    if (!look_at_task(paths.task(task.folder_name())).done) place.allocation->check(task);
  }
  OpenedRun run = open_run(paths, experiment, tasks, place.allocation->slots(), place.liveness_of);
  if (!run.is_new) write_durably(run.paths.experiment_file(), read_text(experiment.file));
  return drive_run({paths, run.paths, std::move(run.plan), std::move(run.claim), run.is_new}, place,
                   options.drive);
}

}  // namespace

void add_run_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<RunOptions>();
  CLI::App* command =
      app.add_subcommand("run", "Run what is left of an experiment; the same call goes on after a stop");
  command->footer(
      "Ctrl-C once saves and stops (exit code 75), twice kills (130).\nExample: muster run "
      "experiments/quickstart.toml");
  add_experiment_options(*command, options->experiment);
  command->add_flag("--quiet", options->drive.quiet, "Print the table at the end alone");
  command->add_flag("--json", options->drive.json, "Print the table as JSON; progress goes to stderr");
  command->callback([options, &exit_code] { exit_code = run_experiment(*options); });
}

}  // namespace muster
