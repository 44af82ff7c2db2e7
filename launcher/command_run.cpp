#include "launcher/command_run.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/journal.hpp"
#include "launcher/experiment_options.hpp"
#include "launcher/local_allocation.hpp"
#include "launcher/run_display.hpp"
#include "launcher/run_folder.hpp"
#include "launcher/run_log.hpp"
#include "launcher/run_summary.hpp"
#include "launcher/stop_signals.hpp"
#include "launcher/supervisor.hpp"
#include "launcher/task_on_disk.hpp"
#include "launcher/workload_catalog.hpp"

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;
using Request = StopSignals::Request;

struct RunOptions {
  ExperimentOptions experiment;
  bool quiet = false;
  bool json = false;
};

constexpr auto kTick = std::chrono::milliseconds(100);
constexpr auto kIndexEvery = std::chrono::seconds(2);

std::filesystem::path program_folder() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path();
}

void write_index(const RunPaths& run, const std::vector<SupervisedTask>& tasks) {
  write_sweep_index(run.sweep_h5(), run.summary_csv(), sweep_entries(summarize(tasks)));
}

/// Names each failed task with its cause and where its log is.
void print_failures(const std::vector<SupervisedTask>& tasks) {
  for (const SupervisedTask& task : tasks) {
    if (task.state != TaskState::failed) continue;
    std::fprintf(stderr, "muster: %s failed: %s\n        log: %s\n", task.name.c_str(), task.reason.c_str(),
                 AttemptPaths(task.paths.attempt(task.attempt)).log().c_str());
  }
}

int count(const std::vector<SupervisedTask>& tasks, TaskState state) {
  return static_cast<int>(
      std::count_if(tasks.begin(), tasks.end(), [&](const auto& task) { return task.state == state; }));
}

ExitCode exit_code_of(const std::vector<SupervisedTask>& tasks, Request request) {
  if (count(tasks, TaskState::done) == static_cast<int>(tasks.size())) return ExitCode::ok;
  if (request == Request::kill) return ExitCode::interrupted;
  if (request == Request::save_and_stop) return ExitCode::stopped;
  return count(tasks, TaskState::failed) > 0 ? ExitCode::task_failed : ExitCode::stopped;
}

void note_done_before(RunLog& log, const std::vector<SupervisedTask>& tasks) {
  constexpr int kNamed = 10;
  int done = 0;
  std::string names;
  for (const SupervisedTask& task : tasks) {
    if (!task.was_done) continue;
    if (++done <= kNamed) names += (names.empty() ? "" : ", ") + task.name;
  }
  if (done == 0) return;
  if (done > kNamed) names += " and " + std::to_string(done - kNamed) + " more";
  log.note("done already and skipped: " + names);
}

/// Till nothing is left to do or the stop that was asked for is complete.
Request drive(Supervisor& supervisor, const RunPaths& run, Console& console, RunLog& log) {
  StopSignals signals;
  RunDisplay display(console);
  Request told = Request::none;
  bool index_is_old = true;
  auto next_index = Clock::now();
  supervisor.look();
  note_done_before(log, supervisor.tasks());
  while (true) {
    index_is_old = supervisor.tick(signals.request()) || index_is_old;
    if (signals.request() != told) {
      told = signals.request();
      log.note(told == Request::kill ? "killing what runs"
                                     : "saving and stopping what runs; Ctrl-C again kills it");
    }
    if (supervisor.finished(signals.request())) break;
    display.update(supervisor.tasks());
    if (index_is_old && Clock::now() >= next_index) {
      write_index(run, supervisor.tasks());
      index_is_old = false;
      next_index = Clock::now() + kIndexEvery;
    }
    signals.wait(kTick);
  }
  console.show({});
  write_index(run, supervisor.tasks());
  return signals.request();
}

void conclude(const RunOptions& options, const RunPaths& run, const std::vector<SupervisedTask>& tasks,
              ExitCode code, RunLog& log) {
  log.note("run " + run.folder().filename().string() + ": " + std::to_string(count(tasks, TaskState::done)) +
           " of " + std::to_string(tasks.size()) + " tasks done" +
           (code == ExitCode::stopped || code == ExitCode::interrupted ? "; the same command goes on" : ""));
  const auto summaries = summarize(tasks);
  std::fputs((options.json ? summary_json(run.folder(), summaries) : summary_table(summaries)).c_str(),
             stdout);
  std::fflush(stdout);
  print_failures(tasks);
}

int run_experiment(const RunOptions& options) {
  const Experiment experiment = read_experiment(options.experiment.file);
  const FoundWorkload workload = find_workload(experiment);
  const auto runs_root = std::filesystem::absolute(options.experiment.runs).lexically_normal();
  const std::vector<Task> tasks = make_tasks(experiment, workload.schema, workload.plugin, runs_root);
  LocalAllocation allocation({local_slots(options.experiment.cpus, options.experiment.gpus), program_folder(),
                              std::filesystem::current_path()});
  const ExperimentPaths paths(runs_root, experiment.name);
  for (const Task& task : tasks) {
    if (!look_at_task(paths.task(task.folder_name())).done) allocation.check(task);
  }
  const OpenedRun run = open_run(paths, experiment, tasks, allocation.slots());

  const int lines_to = options.json ? STDERR_FILENO : STDOUT_FILENO;
  Console console(lines_to, options.quiet ? Console::Mode::quiet : Console::mode_for(lines_to));
  if (!run.is_new) write_durably(run.paths.experiment_file(), read_text(experiment.file));
  const auto known = fold(read_journal(run.paths.journal_folder()));
  Journal journal(run.paths.journal_folder() /
                  ("launcher-" + std::to_string(run.claim->number()) + ".jsonl"));
  RunLog log(run.paths.log(), console);
  log.note((run.is_new ? "new run " : "going on with run ") + run.paths.folder().string() + ": " +
           std::to_string(tasks.size()) + " tasks, " + std::to_string(allocation.slots().cpus.size()) +
           " CPUs, " + std::to_string(allocation.slots().gpus.size()) + " GPUs");

  Supervisor supervisor(paths, run.plan, known, journal, log, allocation);
  const Request request = drive(supervisor, run.paths, console, log);
  const ExitCode code = exit_code_of(supervisor.tasks(), request);
  conclude(options, run.paths, supervisor.tasks(), code, log);
  return static_cast<int>(code);
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
  command->add_flag("--quiet", options->quiet, "Print the table at the end alone");
  command->add_flag("--json", options->json, "Print the table as JSON; progress goes to stderr");
  command->callback([options, &exit_code] { exit_code = run_experiment(*options); });
}

}  // namespace muster
