#include "launcher/command_logs.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/line_follower.hpp"
#include "launcher/run_choice.hpp"

namespace muster {

namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(200);

struct LogsOptions {
  std::string task;
  std::string run;
  std::filesystem::path runs = default_runs_root();
  bool follow = false;
};

void print(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

bool is_driven(const RunPaths& run) {
  ProcessIdentity holder;
  return holder_of(run, holder) != RunHolder::nobody;
}

void print_run_log(const RunPaths& run, bool follow) {
  LineFollower log(run.log());
  while (follow && is_driven(run)) {
    print(log.read());
    std::this_thread::sleep_for(kPollEvery);
  }
  print(log.finish());
}

bool has_gang(const AttemptView& view) {
  return view.phase == AttemptPhase::running || view.phase == AttemptPhase::coming_up ||
         view.phase == AttemptPhase::elsewhere;
}

/// The newest attempt's log; followed, also those of the attempts that come after it.
void print_task_log(const RunPaths& run, const TaskPaths& task, bool follow) {
  AttemptView view = newest_attempt(task, liveness);
  LineFollower log(AttemptPaths(task.attempt(view.number)).log());
  while (follow && (has_gang(view) || is_driven(run)) && !std::filesystem::exists(task.done())) {
    const AttemptView now = newest_attempt(task, liveness);
    if (now.number != view.number) {
      print(log.finish());
      log = LineFollower(AttemptPaths(task.attempt(now.number)).log());
    }
    view = now;
    print(log.read());
    std::this_thread::sleep_for(kPollEvery);
  }
  print(log.finish());
}

void show_logs(const LogsOptions& options) {
  const ChosenRun chosen = choose_run(options.runs, options.run);
  if (options.task.empty()) {
    print_run_log(chosen.run, options.follow);
  } else {
    print_task_log(chosen.run, chosen.experiment.task(choose_task(chosen.run, options.task).folder),
                   options.follow);
  }
}

}  // namespace

void add_logs_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<LogsOptions>();
  CLI::App* command = app.add_subcommand("logs", "Print the log of a run or of one task");
  command->footer("Example: muster logs task-0 --follow");
  command->add_option("TASK", options->task, "A task's number, name, label or id (else the whole run's log)");
  command->add_option("--run", options->run,
                      "A run's folder, an experiment's name or its file (else the newest run of all)");
  command->add_option("--runs", options->runs,
                      "Folder of all runs (else $MUSTER_RUNS, else results/runs below the current folder)");
  command->add_flag("-f,--follow", options->follow, "Go on as long as the run or the task does");
  command->callback([options, &exit_code] {
    show_logs(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
}

}  // namespace muster
