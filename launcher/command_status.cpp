#include "launcher/command_status.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/journal.hpp"
#include "launcher/job_watch.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/run_choice.hpp"
#include "launcher/task_status.hpp"
#include "launcher/text_table.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

struct StatusOptions {
  std::string what;
  std::filesystem::path runs = default_runs_root();
  bool json = false;
};

std::string driver_text(const RunPaths& run, JobWatch& watch) {
  ProcessIdentity holder;
  const RunHolder state = holder_of(run, holder, "", watch.liveness_of());
  if (state == RunHolder::nobody && watch.jobs().any_lives()) return "its jobs drive it";
  if (state == RunHolder::nobody) return "no launcher drives it";
  return std::string(state == RunHolder::alive ? "driven by" : "last driven by") + " process " +
         std::to_string(holder.pid) + " on " + holder.host;
}

Json job_json(const TaskStatus& task) {
  if (task.job.empty()) return nullptr;
  Json json{{"id", task.job}, {"state", nullptr}, {"reason", nullptr}, {"words", nullptr}};
  if (task.job_status) {
    json["state"] = task.job_status->state;
    json["reason"] = task.job_status->reason;
    json["words"] = words_of(*task.job_status);
  }
  return json;
}

Json jobs_json(const RunJobs& jobs) {
  Json json = Json::array();
  for (const RunJob& job : jobs.jobs) {
    json.push_back({{"id", job.submission.job ? Json(*job.submission.job) : Json(nullptr)},
                    {"kind", job.submission.kind == SubmissionKind::array ? "array" : "pack"},
                    {"tasks", job.submission.tasks},
                    {"alive", job.lives()}});
  }
  return json;
}

void print_json(const RunPaths& run, const std::vector<TaskStatus>& tasks, JobWatch& watch) {
  ProcessIdentity holder;
  const RunHolder state = holder_of(run, holder, "", watch.liveness_of());
  Json json{{"run", run.folder().string()}};
  json["launcher"] =
      state == RunHolder::nobody ? Json(nullptr) : Json{{"host", holder.host}, {"pid", holder.pid}};
  json["jobs"] = jobs_json(watch.jobs());
  json["slurm_silence"] = watch.jobs().silence;
  json["tasks"] = Json::array();
  for (const TaskStatus& task : tasks) {
    json["tasks"].push_back({{"number", task.listed.number},
                             {"label", task.listed.label},
                             {"id", task.listed.id},
                             {"folder", task.listed.folder},
                             {"state", task.state},
                             {"attempts", task.attempts},
                             {"seconds", task.seconds},
                             {"detail", task.detail},
                             {"waits_for", task.waits_for},
                             {"job", job_json(task)}});
  }
  std::printf("%s\n", json.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
}

void print_table(const RunPaths& run, const std::vector<TaskStatus>& tasks, JobWatch& watch) {
  const bool submitted = !watch.jobs().jobs.empty();
  std::vector<std::string> header{"task", "state", "attempts", "seconds", "detail"};
  if (submitted) header.insert(header.end() - 1, "job");
  TextTable table(header);
  int done = 0;
  for (const TaskStatus& task : tasks) {
    done += task.state == to_string(TaskState::done) ? 1 : 0;
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, "%.1f", task.seconds);
    std::vector<std::string> row{task.listed.name(), task.state, std::to_string(task.attempts), seconds,
                                 task.detail};
    if (submitted) row.insert(row.end() - 1, task.job);
    table.add_row(row);
  }
  std::printf("%s\n%s%d of %zu tasks done; %s\n", run.folder().c_str(), table.text().c_str(), done,
              tasks.size(), driver_text(run, watch).c_str());
  for (const std::string& line : job_lines(watch.jobs())) std::printf("%s\n", line.c_str());
}

void show_status(const StatusOptions& options) {
  const ChosenRun chosen = choose_run(options.runs, options.what);
  JobWatch watch(chosen.run, batch_system_of(chosen.run));
  const std::vector<TaskStatus> tasks = task_statuses(chosen.experiment, chosen.run, watch);
  if (options.json) {
    print_json(chosen.run, tasks, watch);
  } else {
    print_table(chosen.run, tasks, watch);
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
