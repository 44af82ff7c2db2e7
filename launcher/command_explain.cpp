#include "launcher/command_explain.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "launcher/explanation.hpp"
#include "launcher/job_watch.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/run_choice.hpp"
#include "launcher/task_status.hpp"
#include "slurm/queue_position.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

struct ExplainOptions {
  std::string what;
  std::string run;
  std::filesystem::path runs = default_runs_root();
  bool json = false;
};

/// Of a group of tasks so many are named.
constexpr std::size_t kNamed = 5;

/// A run as it stands now.
struct RunNow {
  ChosenRun chosen;
  std::vector<TaskStatus> tasks;
  int running = 0;
  bool driven = false;
};

/// Asks for each waiting job once.
AheadOf remembered_ahead() {
  auto known = std::make_shared<std::map<std::string, std::optional<int>>>();
  return [known](const JobStatus& status) {
    const auto found = known->find(status.job);
    if (found != known->end()) return found->second;
    return (*known)[status.job] = jobs_ahead(status);
  };
}

RunNow look_at(const ChosenRun& chosen, JobWatch& watch) {
  RunNow now{chosen, task_statuses(chosen.experiment, chosen.run, watch)};
  for (const TaskStatus& task : now.tasks) now.running += task.state == "running" || task.state == "starting";
  ProcessIdentity holder;
  now.driven = holder_of(chosen.run, holder, "", watch.liveness_of()) != RunHolder::nobody;
  return now;
}

std::string text_of(const AttemptStory& attempt) {
  std::string text = "attempt " + std::to_string(attempt.number) + ":";
  std::string hosts;
  for (const std::string& host : attempt.hosts) hosts += (hosts.empty() ? "" : ", ") + host;
  if (!hosts.empty()) text += " on " + hosts;
  if (attempt.gpu_count > 0) {
    text += " with " + std::to_string(attempt.gpu_count) + (attempt.gpu_count == 1 ? " GPU" : " GPUs");
    std::string names;
    for (const std::string& gpu : attempt.gpus) names += (names.empty() ? "" : ",") + gpu;
    if (!names.empty()) text += " (" + names + ")";
  }
  if (!attempt.job.empty()) text += ", in job " + attempt.job;
  if (attempt.seconds) {
    char seconds[32];
    std::snprintf(seconds, sizeof seconds, ", %.1f s", *attempt.seconds);
    text += seconds;
  }
  return text + (attempt.end.empty() ? "; at work" : "; " + attempt.end);
}

Json to_json(const AttemptStory& attempt) {
  return {{"number", attempt.number},
          {"hosts", attempt.hosts},
          {"gpus", attempt.gpu_count},
          {"job", attempt.job.empty() ? Json(nullptr) : Json(attempt.job)},
          {"seconds", attempt.seconds ? Json(*attempt.seconds) : Json(nullptr)},
          {"end", attempt.end}};
}

Json to_json(const TaskStatus& task, const Explanation& explanation) {
  return {{"number", task.listed.number},
          {"label", task.listed.label},
          {"state", task.state},
          {"why", explanation.why},
          {"advice", explanation.advice},
          {"job", task.job.empty() ? Json(nullptr) : Json(task.job)},
          {"job_state", task.job_status ? Json(task.job_status->state) : Json(nullptr)},
          {"job_reason", task.job_status ? Json(task.job_status->reason) : Json(nullptr)}};
}

void print(const Json& json) {
  std::printf("%s\n", json.dump(1, ' ', false, Json::error_handler_t::replace).c_str());
}

void explain_task(const RunNow& now, const JobWatch& watch, int number, bool as_json) {
  const auto task = std::find_if(now.tasks.begin(), now.tasks.end(),
                                 [&](const TaskStatus& known) { return known.listed.number == number; });
  const Explanation explanation = explain(*task, watch.jobs(), now.running, now.driven, remembered_ahead());
  const auto attempts =
      attempts_of(now.chosen.experiment.task(task->listed.folder), now.chosen.run, task->listed.folder);
  if (as_json) {
    Json json = to_json(*task, explanation);
    json["run"] = now.chosen.run.folder().string();
    json["attempts"] = Json::array();
    for (const AttemptStory& attempt : attempts) json["attempts"].push_back(to_json(attempt));
    return print(json);
  }
  std::printf("%s %s\n", task->listed.name().c_str(), explanation.why.c_str());
  for (const AttemptStory& attempt : attempts) std::printf("  %s\n", text_of(attempt).c_str());
  if (!watch.jobs().silence.empty() && !watch.jobs().jobs.empty())
    std::printf("  Slurm does not tell: %s\n", watch.jobs().silence.c_str());
  if (!explanation.advice.empty()) std::printf("  %s\n", explanation.advice.c_str());
}

/// Tasks that are as they are for one reason.
struct Group {
  Explanation explanation;
  std::vector<std::string> names;
};

std::vector<Group> groups_of(const RunNow& now, const JobWatch& watch) {
  const AheadOf ahead = remembered_ahead();
  std::vector<Group> groups;
  for (const TaskStatus& task : now.tasks) {
    if (task.state == "done") continue;
    const Explanation explanation = explain(task, watch.jobs(), now.running, now.driven, ahead);
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group.explanation.why == explanation.why;
    });
    if (same == groups.end()) {
      groups.push_back({explanation, {task.listed.name()}});
    } else {
      same->names.push_back(task.listed.name());
    }
  }
  return groups;
}

std::string names_of(const Group& group) {
  std::string names;
  for (std::size_t i = 0; i < group.names.size() && i < kNamed; ++i)
    names += (i > 0 ? ", " : "") + group.names[i];
  if (group.names.size() > kNamed) names += " and " + std::to_string(group.names.size() - kNamed) + " more";
  return names;
}

void explain_run(const RunNow& now, const JobWatch& watch, bool as_json) {
  if (as_json) {
    const AheadOf ahead = remembered_ahead();
    Json json{{"run", now.chosen.run.folder().string()},
              {"jobs", job_lines(watch.jobs())},
              {"tasks", Json::array()}};
    for (const TaskStatus& task : now.tasks)
      json["tasks"].push_back(to_json(task, explain(task, watch.jobs(), now.running, now.driven, ahead)));
    return print(json);
  }
  std::printf("%s: %s\n", now.chosen.run.folder().c_str(), counts_text(now.tasks).c_str());
  for (const std::string& line : job_lines(watch.jobs())) std::printf("%s\n", line.c_str());
  for (const Group& group : groups_of(now, watch)) {
    std::printf("%s: %s\n", names_of(group).c_str(), group.explanation.why.c_str());
    if (!group.explanation.advice.empty()) std::printf("  %s\n", group.explanation.advice.c_str());
  }
}

/// `what` is a task of the run that --run chooses, else a run itself.
void explain_what(const ExplainOptions& options) {
  std::optional<int> number;
  ChosenRun chosen = choose_run(options.runs, options.run);
  if (!options.what.empty()) {
    try {
      number = choose_task(chosen.run, options.what).number;
    } catch (const Error& no_task) {
      if (!options.run.empty()) throw;
      try {
        chosen = choose_run(options.runs, options.what);
      } catch (const Error&) {
        throw no_task;
      }
    }
  }
  JobWatch watch(chosen.run, batch_system_of(chosen.run));
  const RunNow now = look_at(chosen, watch);
  if (number) {
    explain_task(now, watch, *number, options.json);
  } else {
    explain_run(now, watch, options.json);
  }
}

}  // namespace

void add_explain_command(CLI::App& app, int& exit_code) {
  auto options = std::make_shared<ExplainOptions>();
  CLI::App* command = app.add_subcommand("explain", "Say why a task waits, failed or was stopped");
  command->footer("Example: muster explain task-3");
  command->add_option(
      "WHAT", options->what,
      "A task's number, name, label or id; or a run, for all its tasks (else the newest run)");
  command->add_option(
      "--run", options->run,
      "The task's run: its folder, an experiment's name or its file (else the newest of all)");
  command->add_option("--runs", options->runs,
                      "Folder of all runs (else $MUSTER_RUNS, else results/runs below the current folder)");
  command->add_flag("--json", options->json, "Print JSON");
  command->callback([options, &exit_code] {
    explain_what(*options);
    exit_code = static_cast<int>(ExitCode::ok);
  });
}

}  // namespace muster
