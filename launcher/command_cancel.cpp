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
#include "launcher/launcher_claim.hpp"
#include "launcher/run_canceller.hpp"
#include "launcher/run_choice.hpp"
#include "launcher/run_jobs.hpp"
#include "launcher/run_tasks.hpp"

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
  if (!options.task.empty()) wish.task = choose_task(chosen.run, options.task).number;
  wish.now = options.now;
  wish.patience = patience_of(chosen.run);
  std::vector<CancelledJob> ended;
  bool any = false;
  if (const auto system = batch_system_of(chosen.run)) ended = cancel_jobs(chosen.run, wish, *system, tell);
  any = !ended.empty();
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
  command->add_option("--task", options->task, "Of a job array this task alone: its number, name or label");
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
