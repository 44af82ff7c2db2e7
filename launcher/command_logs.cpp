#include "launcher/command_logs.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/job_watch.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/line_follower.hpp"
#include "launcher/run_choice.hpp"
#include "launcher/task_status.hpp"

namespace muster {

namespace {

constexpr auto kPollEvery = std::chrono::milliseconds(200);
/// Of so many files that a shared file system would notice.
constexpr auto kPollManyEvery = std::chrono::milliseconds(2000);
constexpr std::size_t kFew = 20;

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

/// Something will still be written.
bool goes_on(const RunPaths& run, JobWatch& watch) {
  watch.refresh();
  ProcessIdentity holder;
  return holder_of(run, holder, "", watch.liveness_of()) != RunHolder::nobody || watch.jobs().any_lives();
}

/// The run's log, or those of the elements of its arrays, as they come up.
class RunLogs {
 public:
  explicit RunLogs(RunPaths run) : run_(std::move(run)) {}

  void read() {
    find();
    for (auto& [file, log] : logs_) print(log.read());
  }
  void finish() {
    find();
    for (auto& [file, log] : logs_) print(log.finish());
  }
  bool none() const { return logs_.empty(); }
  std::chrono::milliseconds poll_every() const { return logs_.size() > kFew ? kPollManyEvery : kPollEvery; }

 private:
  void find() {
    std::error_code error;
    for (std::filesystem::directory_iterator item(run_.folder(), error), end; !error && item != end;
         item.increment(error)) {
      const std::string name = item->path().filename().string();
      const bool is_log = item->path() == run_.log() || name.starts_with("run-task-");
      if (is_log && name.ends_with(".log")) logs_.try_emplace(item->path(), item->path());
    }
  }

  RunPaths run_;
  std::map<std::filesystem::path, LineFollower> logs_;
};

/// Of a submitted run that has no log: what its newest batch script printed, and how its jobs stand.
void print_job_output(const RunJobs& jobs) {
  if (jobs.jobs.empty()) return;
  const Submission& newest = jobs.jobs.back().submission;
  if (!newest.tasks.empty()) print(LineFollower(output_of(newest, newest.tasks.front())).finish());
  for (const std::string& line : job_lines(jobs)) std::fprintf(stderr, "muster: %s\n", line.c_str());
}

void print_run_log(const RunPaths& run, bool follow, JobWatch& watch) {
  RunLogs logs(run);
  while (follow && goes_on(run, watch)) {
    logs.read();
    std::this_thread::sleep_for(logs.poll_every());
  }
  logs.finish();
  if (logs.none()) print_job_output(watch.jobs());
}

bool has_gang(const AttemptView& view) {
  return view.phase == AttemptPhase::running || view.phase == AttemptPhase::coming_up ||
         view.phase == AttemptPhase::elsewhere;
}

/// The newest attempt's log; followed, also those of the attempts that come after it.
void print_task_log(const RunPaths& run, const ListedTask& listed, const TaskPaths& task, bool follow,
                    JobWatch& watch) {
  const auto look = [&] {
    const AttemptView view = newest_attempt(task, watch.liveness_of());
    return watch.resolve_strangers() ? newest_attempt(task, watch.liveness_of()) : view;
  };
  AttemptView view = look();
  LineFollower log(AttemptPaths(task.attempt(view.number)).log());
  while (follow && (has_gang(view) || goes_on(run, watch)) && !std::filesystem::exists(task.done())) {
    const AttemptView now = look();
    if (now.number != view.number) {
      print(log.finish());
      log = LineFollower(AttemptPaths(task.attempt(now.number)).log());
    }
    view = now;
    print(log.read());
    std::this_thread::sleep_for(kPollEvery);
  }
  print(log.finish());
  if (view.number == 0) {
    std::fprintf(stderr, "muster: %s was not begun yet; 'muster explain task-%d' says why\n",
                 listed.name().c_str(), listed.number);
  }
}

void show_logs(const LogsOptions& options) {
  const ChosenRun chosen = choose_run(options.runs, options.run);
  JobWatch watch(chosen.run, batch_system_of(chosen.run));
  if (options.task.empty()) {
    print_run_log(chosen.run, options.follow, watch);
  } else {
    const ListedTask task = choose_task(chosen.run, options.task);
    print_task_log(chosen.run, task, chosen.experiment.task(task.folder), options.follow, watch);
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
