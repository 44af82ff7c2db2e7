#include "launcher/command_status.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/journal.hpp"
#include "launcher/attempt_ledger.hpp"
#include "launcher/gang_progress.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/run_choice.hpp"
#include "launcher/text_table.hpp"

namespace muster {

namespace {

struct StatusOptions {
  std::string what;
  std::filesystem::path runs = default_runs_root();
  bool json = false;
};

struct TaskStatus {
  ListedTask listed;
  std::string state;
  int attempts = 0;
  double seconds = 0;
  std::string detail;  ///< progress of a running gang, else why it ended
};

std::string state_of(const TaskPaths& paths, const AttemptView& view, const JournalEntry* journaled) {
  if (std::filesystem::exists(paths.done())) return to_string(TaskState::done);
  switch (view.phase) {
    case AttemptPhase::running:
      return to_string(TaskState::running);
    case AttemptPhase::coming_up:
      return to_string(TaskState::starting);
    case AttemptPhase::elsewhere:
      return "elsewhere";
    default:
      break;
  }
  if (journaled == nullptr) return to_string(TaskState::pending);
  // Its gang is gone and nobody has done the books yet.
  const bool unfinished = journaled->state == TaskState::starting || journaled->state == TaskState::running;
  return unfinished ? "interrupted" : to_string(journaled->state);
}

TaskStatus status_of(const ExperimentPaths& experiment, const ListedTask& listed,
                     const std::map<std::string, JournalEntry>& journal) {
  const TaskPaths paths = experiment.task(listed.folder);
  const AttemptView view = newest_attempt(paths, liveness);
  const auto entry = journal.find(listed.folder);
  const JournalEntry* journaled = entry == journal.end() ? nullptr : &entry->second;
  TaskStatus status{listed, state_of(paths, view, journaled), view.number, seconds_of_attempts(paths), ""};
  if (view.phase == AttemptPhase::running || view.phase == AttemptPhase::elsewhere) {
    GangProgress progress(AttemptPaths(paths.attempt(view.number)).events());
    while (progress.poll()) {
    }
    status.detail = progress.text();
    if (view.phase == AttemptPhase::elsewhere) status.detail += " (on " + view.claimant->host + ")";
  } else if (journaled != nullptr && status.state != to_string(TaskState::done)) {
    status.detail = journaled->reason;
  }
  return status;
}

std::string driver_text(const RunPaths& run) {
  ProcessIdentity holder;
  const RunHolder state = holder_of(run, holder);
  if (state == RunHolder::nobody) return "no launcher drives it";
  return std::string(state == RunHolder::alive ? "driven by" : "last driven by") + " process " +
         std::to_string(holder.pid) + " on " + holder.host;
}

void print_json(const RunPaths& run, const std::vector<TaskStatus>& tasks) {
  using Json = nlohmann::ordered_json;
  ProcessIdentity holder;
  const RunHolder state = holder_of(run, holder);
  Json json{{"run", run.folder().string()}};
  json["launcher"] =
      state == RunHolder::nobody ? Json(nullptr) : Json{{"host", holder.host}, {"pid", holder.pid}};
  json["tasks"] = Json::array();
  for (const TaskStatus& task : tasks) {
    json["tasks"].push_back({{"number", task.listed.number},
                             {"label", task.listed.label},
                             {"id", task.listed.id},
                             {"folder", task.listed.folder},
                             {"state", task.state},
                             {"attempts", task.attempts},
                             {"seconds", task.seconds},
                             {"detail", task.detail}});
  }
  std::printf("%s\n", json.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
}

void print_table(const RunPaths& run, const std::vector<TaskStatus>& tasks) {
  TextTable table({"task", "state", "attempts", "seconds", "detail"});
  int done = 0;
  for (const TaskStatus& task : tasks) {
    done += task.state == to_string(TaskState::done) ? 1 : 0;
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.1f", task.seconds);
    table.add_row({task.listed.name(), task.state, std::to_string(task.attempts), seconds, task.detail});
  }
  std::printf("%s\n%s%d of %zu tasks done; %s\n", run.folder().c_str(), table.text().c_str(), done,
              tasks.size(), driver_text(run).c_str());
}

void show_status(const StatusOptions& options) {
  const ChosenRun chosen = choose_run(options.runs, options.what);
  const auto journal = fold(read_journal(chosen.run.journal_folder()));
  std::vector<TaskStatus> tasks;
  for (const ListedTask& listed : read_listed_tasks(chosen.run)) {
    tasks.push_back(status_of(chosen.experiment, listed, journal));
  }
  if (options.json) {
    print_json(chosen.run, tasks);
  } else {
    print_table(chosen.run, tasks);
  }
}

}  // namespace

void add_status_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<StatusOptions>();
  CLI::App* command = app.add_subcommand("status", "Show how a run stands");
  command->footer("Example: muster status quickstart");
  command->add_option("RUN", options->what,
                      "A run's folder, an experiment's name or its file (else the newest run of all)");
  command->add_option("--runs", options->runs,
                      "Folder of all runs (else $MUSTER_RUNS, else results/runs below the current folder)");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &exit_code] {
    show_status(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
}

}  // namespace muster
