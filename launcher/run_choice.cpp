#include "launcher/run_choice.hpp"

#include <algorithm>
#include <optional>
#include <system_error>
#include <vector>

#include "core/error.hpp"
#include "core/experiment.hpp"
#include "core/nearest_name.hpp"
#include "launcher/newest_run.hpp"

namespace muster {

namespace fs = std::filesystem;

namespace {

std::optional<ChosenRun> as_run(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder / RunPaths("").plan(), error)) return std::nullopt;
  const fs::path run = fs::weakly_canonical(folder);
  return ChosenRun{ExperimentPaths(run.parent_path().parent_path(), run.parent_path().filename().string()),
                   RunPaths(run)};
}

std::optional<ChosenRun> newest_of(const fs::path& experiment_folder) {
  const fs::path folder = fs::weakly_canonical(experiment_folder);
  const ExperimentPaths experiment(folder.parent_path(), folder.filename().string());
  const auto run = newest_run(experiment);
  return run ? std::optional(ChosenRun{experiment, *run}) : std::nullopt;
}

std::vector<std::string> experiments_in(const fs::path& runs_root) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator item(runs_root, error), end; !error && item != end; item.increment(error)) {
    if (newest_of(item->path())) names.push_back(item->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

ChosenRun choose_run(const fs::path& runs_root, const std::string& what) {
  const std::vector<std::string> experiments = experiments_in(runs_root);
  if (what.empty()) {
    std::optional<ChosenRun> newest;
    for (const std::string& name : experiments) {
      const auto run = newest_of(runs_root / name);
      if (!newest || run->run.folder().filename() > newest->run.folder().filename()) newest = run;
    }
    if (newest) return *newest;
    throw Error(ExitCode::usage, "there is no run in '" + runs_root.string() + "'",
                "start one with 'muster run FILE', or say with --runs where runs are");
  }
  if (what.ends_with(".toml")) {
    if (const auto run = newest_of(runs_root / read_experiment(what).name)) return *run;
  }
  for (const fs::path& folder : {fs::path(what), runs_root / what}) {
    if (const auto run = as_run(folder)) return *run;
    if (const auto run = newest_of(folder)) return *run;
  }
  throw Error(ExitCode::usage, "there is no run '" + what + "' in '" + runs_root.string() + "'",
              name_advice(what, experiments, "no experiment has run there yet"));
}

ListedTask choose_task(const RunPaths& run, const std::string& what) {
  const std::vector<ListedTask> tasks = read_listed_tasks(run);
  std::vector<std::string> names;
  std::vector<ListedTask> by_id;
  for (const ListedTask& task : tasks) {
    const std::string number = std::to_string(task.number);
    if (what == number || what == "task-" + number || what == task.name() || what == task.label ||
        what == task.folder) {
      return task;
    }
    if (!what.empty() && task.id.starts_with(what)) by_id.push_back(task);
    names.push_back(task.name());
  }
  if (by_id.size() == 1) return by_id.front();
  throw Error(ExitCode::usage,
              "'" + what + "' names " + (by_id.empty() ? "no task" : "more than one task") + " of " +
                  run.folder().string(),
              name_advice(what, names));
}

}  // namespace muster
