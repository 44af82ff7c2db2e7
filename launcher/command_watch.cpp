#include "launcher/command_watch.hpp"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "launcher/console.hpp"
#include "launcher/job_watch.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/run_choice.hpp"
#include "launcher/task_status.hpp"

namespace muster {

namespace {

constexpr auto kLookEvery = std::chrono::seconds(2);
constexpr std::size_t kShownTasks = 20;

struct WatchOptions {
  std::string what;
  std::filesystem::path runs = default_runs_root();
};

std::string time_of_day() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  char text[16];
  std::strftime(text, sizeof text, "%H:%M:%S", localtime_r(&now, &local));
  return text;
}

bool is_at_work(const TaskStatus& task) {
  return task.state == "running" || task.state == "starting" || task.state == "elsewhere";
}

bool is_driven(const RunPaths& run, JobWatch& watch) {
  ProcessIdentity holder;
  return holder_of(run, holder, "", watch.liveness_of()) != RunHolder::nobody;
}

/// What is redrawn on a terminal: how many stand where, the jobs, and the tasks at work.
std::vector<std::string> lines_of(const std::vector<TaskStatus>& tasks, const RunJobs& jobs) {
  std::vector<std::string> lines{counts_text(tasks)};
  const auto of_jobs = job_lines(jobs);
  lines.insert(lines.end(), of_jobs.begin(), of_jobs.end());
  std::size_t at_work = 0;
  for (const TaskStatus& task : tasks) {
    if (!is_at_work(task) || ++at_work > kShownTasks) continue;
    lines.push_back("  " + task.listed.name() + " " + task.state + " " + task.detail);
  }
  if (at_work > kShownTasks) lines.push_back("  and " + std::to_string(at_work - kShownTasks) + " more");
  return lines;
}

/// Tells what changed since the last look.
class Watcher {
 public:
  explicit Watcher(Console& console) : console_(console) {}

  void look(const std::vector<TaskStatus>& tasks, const RunJobs& jobs) {
    for (const TaskStatus& task : tasks) {
      const bool ended = task.state == "done" || task.state == "failed" || task.state == "stopped" ||
                         task.state == "blocked";
      std::string& before = states_[task.listed.number];
      if (ended && !before.empty() && before != task.state)
        line(task.listed.name() + " is " + task.state + (task.detail.empty() ? "" : ": " + task.detail));
      before = task.state;
    }
    for (const std::string& text : job_lines(jobs)) tell_once(text);
    if (console_.mode() == Console::Mode::live) {
      console_.show(lines_of(tasks, jobs));
    } else {
      tell_once(counts_text(tasks));
    }
    told_ = std::move(telling_);
    telling_.clear();
  }

 private:
  void line(const std::string& text) { console_.line(time_of_day() + " " + text); }

  void tell_once(const std::string& text) {
    if (std::find(told_.begin(), told_.end(), text) == told_.end() && console_.mode() != Console::Mode::live)
      line(text);
    telling_.push_back(text);
  }

  Console& console_;
  std::map<int, std::string> states_;
  std::vector<std::string> told_, telling_;
};

ExitCode exit_code_of(const std::vector<TaskStatus>& tasks) {
  const auto any = [&](const std::string& state) {
    return std::any_of(tasks.begin(), tasks.end(),
                       [&](const TaskStatus& task) { return task.state == state; });
  };
  const bool all_done =
      std::all_of(tasks.begin(), tasks.end(), [](const TaskStatus& task) { return task.state == "done"; });
  if (all_done) return ExitCode::ok;
  return any("failed") ? ExitCode::task_failed : ExitCode::stopped;
}

ExitCode watch_run(const WatchOptions& options) {
  const ChosenRun chosen = choose_run(options.runs, options.what);
  Console console(STDOUT_FILENO, Console::mode_for(STDOUT_FILENO));
  console.line(chosen.run.folder().string());
  JobWatch watch(chosen.run, batch_system_of(chosen.run));
  Watcher watcher(console);
  while (true) {
    const std::vector<TaskStatus> tasks = task_statuses(chosen.experiment, chosen.run, watch);
    watcher.look(tasks, watch.jobs());
    if (is_over(tasks, watch.jobs(), is_driven(chosen.run, watch))) {
      console.show({});
      console.line(counts_text(tasks));
      return exit_code_of(tasks);
    }
    std::this_thread::sleep_for(kLookEvery);
    watch.refresh();
  }
}

}  // namespace

void add_watch_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<WatchOptions>();
  CLI::App* command = app.add_subcommand("watch", "Follow a run till it is over");
  command->footer(
      "Exit code: 0 all done, 1 a task failed, 75 stopped before the end. Ctrl-C ends the watching alone.\n"
      "Example: muster watch quickstart");
  command->add_option("RUN", options->what,
                      "A run's folder, an experiment's name or its file (else the newest run of all)");
  command->add_option("--runs", options->runs,
                      "Folder of all runs (else $MUSTER_RUNS, else results/runs below the current folder)");
  command->callback([options, &exit_code] { exit_code = static_cast<int>(watch_run(*options)); });
}

}  // namespace muster
