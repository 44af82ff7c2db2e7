#include "launcher/command_cancel.hpp"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/job_watch.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/run_canceller.hpp"
#include "launcher/run_choice.hpp"
#include "launcher/run_jobs.hpp"
#include "launcher/run_tasks.hpp"
#include "launcher/task_cancels.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

struct CancelOptions {
  std::string what;
  std::string task;
  std::filesystem::path runs = default_runs_root();
  bool now = false;
  bool json = false;
};

/// What a launcher takes to end its gangs, beyond what the experiment allows them.
constexpr auto kMargin = std::chrono::seconds(10);

std::chrono::milliseconds patience_of(const RunPaths& run) {
  double longest = 0;
  if (std::filesystem::exists(run.tasks())) {
    for (const PlannedTask& planned : read_run_tasks(run))
      longest = std::max(longest, planned.task.policy.kill_after_seconds);
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::min(longest, 1e6) * 1000)) + kMargin;
}

/// A launcher of this host that no job holds.
std::optional<ProcessIdentity> own_launcher(const RunPaths& run) {
  ProcessIdentity holder;
  if (holder_of(run, holder) != RunHolder::alive || !holder.job.empty()) return std::nullopt;
  return holder;
}

void stop_launcher(const ProcessIdentity& launcher, bool now,
                   const std::function<void(const std::string&)>& tell) {
  tell("process " + std::to_string(launcher.pid) + (now ? ": ended" : ": asked to save and stop"));
  kill(launcher.pid, now ? SIGINT : SIGTERM);
  if (now) kill(launcher.pid, SIGINT);
  while (liveness(launcher) == Liveness::alive) std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

/// The launcher that drives the task drives others too, on this host or in a job.
bool shares_its_launcher(const RunPaths& run, int task, BatchSystem* system) {
  if (own_launcher(run)) return true;
  if (system == nullptr) return false;
  const RunJobs jobs = look_at_jobs(run, system);
  const RunJob* job = jobs.job_of(task);
  return job != nullptr && job->lives() && job->submission.kind == SubmissionKind::pack &&
         job->submission.tasks.size() > 1;
}

/// Returns once no gang works on it, or its launcher knows that none is to.
void cancel_task(const ChosenRun& chosen, const ListedTask& task, const CancelWish& wish,
                 const std::function<void(const std::string&)>& tell) {
  using Request = StopSignals::Request;
  const TaskPaths paths = chosen.experiment.task(task.folder);
  JobWatch watch(chosen.run, batch_system_of(chosen.run));
  const auto at_work = [&] {
    const AttemptPhase phase = newest_attempt(paths, watch.liveness_of()).phase;
    return phase == AttemptPhase::coming_up || phase == AttemptPhase::running ||
           phase == AttemptPhase::elsewhere;
  };
  ask_to_cancel(chosen.run, task.number, wish.now ? Request::kill : Request::save_and_stop);
  if (!at_work()) return tell(task.name() + " does not begin any more; the others go on");
  tell(task.name() + (wish.now ? ": ended" : ": asked to save and stop"));
  const auto until = std::chrono::steady_clock::now() + wish.patience;
  while (at_work()) {
    if (std::chrono::steady_clock::now() > until)
      throw Error(ExitCode::busy, task.name() + " was cancelled and still runs",
                  "look again with 'muster status'; --now ends it at once");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    watch.refresh();
  }
  tell(task.name() + " runs no more, the others go on; 'muster run' or 'muster submit' goes on with it");
}

void print_json(const RunPaths& run, const std::vector<CancelledJob>& jobs) {
  Json json{{"run", run.folder().string()}, {"jobs", Json::array()}};
  for (const CancelledJob& job : jobs)
    json["jobs"].push_back({{"id", job.job}, {"was", job.was}, {"how", job.saved ? "stopped" : "cancelled"}});
  std::printf("%s\n", json.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
}

void cancel_run(const CancelOptions& options) {
  const ChosenRun chosen = choose_run(options.runs, options.what);
  const auto tell = [&options](const std::string& line) {
    std::fprintf(options.json ? stderr : stdout, "%s\n", line.c_str());
    std::fflush(options.json ? stderr : stdout);
  };
  CancelWish wish;
  wish.now = options.now;
  wish.patience = patience_of(chosen.run);
  std::vector<CancelledJob> ended;
  const auto system = batch_system_of(chosen.run);
  if (!options.task.empty()) {
    const ListedTask task = choose_task(chosen.run, options.task);
    wish.task = task.number;
    if (shares_its_launcher(chosen.run, task.number, system.get())) {
      cancel_task(chosen, task, wish, tell);
      if (options.json) print_json(chosen.run, ended);
      return;
    }
  }
  if (system) ended = cancel_jobs(chosen.run, wish, *system, tell);
  bool any = !ended.empty();
  if (const auto launcher = own_launcher(chosen.run); launcher && !wish.task) {
    stop_launcher(*launcher, options.now, tell);
    any = true;
  }
  if (options.json) print_json(chosen.run, ended);
  tell(any ? "nothing of it runs any more; what was saved stays, and 'muster submit' goes on from there"
           : "nothing of it waits or runs");
}

}  // namespace

void add_cancel_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<CancelOptions>();
  CLI::App* command = app.add_subcommand("cancel", "End a run's jobs: they save and stop first");
  command->footer("Example: muster cancel quickstart");
  command->add_option("RUN", options->what,
                      "A run's folder, an experiment's name or its file (else the newest run of all)");
  command->add_option("--task", options->task,
                      "This task alone, by its number, name or label; the others go on");
  command->add_option("--runs", options->runs,
                      "Folder of all runs (else $MUSTER_RUNS, else results/runs below the current folder)");
  command->add_flag("--now", options->now, "Do not wait for them to save");
  command->add_flag("--json", options->json, "Print JSON; progress goes to stderr");
  command->callback([options, &exit_code] {
    cancel_run(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
}

}  // namespace muster
