#include "launcher/run_folder.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "launcher/launcher_claim.hpp"
#include "launcher/newest_run.hpp"
#include "launcher/run_environment.hpp"
#include "launcher/task_cancels.hpp"

namespace muster {

namespace fs = std::filesystem;

namespace {

std::set<std::string> ids_of(const std::vector<Task>& tasks) {
  std::set<std::string> ids;
  for (const Task& task : tasks) ids.insert(task.id);
  return ids;
}

std::set<std::string> ids_of(const std::vector<ListedTask>& tasks) {
  std::set<std::string> ids;
  for (const ListedTask& task : tasks) ids.insert(task.id);
  return ids;
}

/// Another launcher makes and withdraws runs beside us: one that is gone when it is read is passed over.
std::optional<RunPaths> newest_with(const ExperimentPaths& experiment, const std::set<std::string>& ids,
                                    const fs::path& but_not = {}) {
  for (const RunPaths& run : runs_of(experiment)) {
    if (run.folder() == but_not) continue;
    try {
      if (ids_of(read_listed_tasks(run)) == ids) return run;
    } catch (const Error&) {
      if (fs::exists(run.plan())) throw;
    }
  }
  return std::nullopt;
}

std::string time_name() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H-%M-%S", localtime_r(&now, &local));
  return text;
}

/// Removes the folder on the way out unless it was renamed into place.
class AsideFolder {
 public:
  explicit AsideFolder(const fs::path& parent) : path_(parent / (prefix() + std::to_string(getpid()))) {
    remove_stale(parent);
    make_folders(path_);
  }
  ~AsideFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  AsideFolder(const AsideFolder&) = delete;
  AsideFolder& operator=(const AsideFolder&) = delete;

  const fs::path& path() const { return path_; }

  /// Returns where it went: the time, or where that is taken the time with a number.
  RunPaths move_into_place(const ExperimentPaths& experiment) const {
    const std::string time = time_name();
    for (int copy = 1;; ++copy) {
      const RunPaths run = experiment.run(copy == 1 ? time : time + "-" + std::to_string(copy));
      if (std::rename(path_.c_str(), run.folder().c_str()) == 0) {
        fsync_folder(experiment.folder());
        return run;
      }
      if (errno != EEXIST && errno != ENOTEMPTY) throw_storage_error(run.folder(), "create", errno);
    }
  }

  static std::string prefix() { return ".run-" + own_identity().host + "-"; }

 private:
  /// Those that launchers of this host left when they were killed, and one of an earlier process with our
  /// pid.
  static void remove_stale(const fs::path& parent) {
    std::error_code error;
    for (fs::directory_iterator item(parent, error), end; !error && item != end; item.increment(error)) {
      const std::string name = item->path().filename().string();
      if (!name.starts_with(prefix())) continue;
      const int pid = std::atoi(name.c_str() + prefix().size());
      std::error_code ignored;
      if (pid == getpid() || (kill(pid, 0) != 0 && errno == ESRCH)) fs::remove_all(item->path(), ignored);
    }
  }

  fs::path path_;
};

RunPaths make_run(const ExperimentPaths& experiment_paths, const Experiment& experiment, const Plan& plan,
                  const std::vector<Slots>& slots) {
  make_folders(experiment_paths.folder());
  const AsideFolder aside(experiment_paths.folder());
  const RunPaths run(aside.path());
  make_folders(run.journal_folder());
  write_durably(run.experiment_file(), read_text(experiment.file));
  write_durably(run.environment(), describe_environment(slots));
  write_durably(run.plan(), plan_to_json(plan));
  write_first_claim(run);
  return aside.move_into_place(experiment_paths);
}

/// Two launchers may have found no run at the same moment and each made one: the later one withdraws.
bool withdraw_if_second(const ExperimentPaths& experiment_paths, const RunPaths& made,
                        const std::set<std::string>& ids) {
  const auto other = newest_with(experiment_paths, ids, made.folder());
  ProcessIdentity holder;
  if (!other || holder_of(*other, holder) == RunHolder::nobody) return false;
  if (made.folder().filename() < other->folder().filename()) return false;
  // In one step, so that nobody finds half of it.
  const fs::path aside = experiment_paths.folder() / (AsideFolder::prefix() + std::to_string(getpid()));
  if (std::rename(made.folder().c_str(), aside.c_str()) != 0)
    throw_storage_error(made.folder(), "withdraw", errno);
  std::error_code ignored;
  fs::remove_all(aside, ignored);
  return true;
}

}  // namespace

std::string task_name(int number, const std::string& label) {
  return "task-" + std::to_string(number) + "-" + label;
}

std::string ListedTask::name() const { return task_name(number, label); }

std::vector<ListedTask> read_listed_tasks(const RunPaths& run) {
  const std::string text = read_text(run.plan());
  try {
    std::vector<ListedTask> tasks;
    const auto plan = nlohmann::json::parse(text);
    for (const auto& task : plan.at("tasks")) {
      tasks.push_back({task.at("number").get<int>(), task.at("id").get<std::string>(),
                       task.at("label").get<std::string>(), task.at("folder").get<std::string>(),
                       task.value("stage", ""), task.value("needs", std::vector<int>())});
    }
    return tasks;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitCode::storage, std::string("the run's plan is damaged: ") + error.what(),
                "move the run's folder away to start a new run (finished tasks stay finished)",
                SourcePlace{run.plan()});
  }
}

EarlierRun earlier_run(const ExperimentPaths& experiment_paths, const std::vector<Task>& tasks) {
  EarlierRun earlier;
  earlier.same = newest_with(experiment_paths, ids_of(tasks));
  const auto numbers_from = earlier.same ? earlier.same : newest_run(experiment_paths);
  if (numbers_from) earlier.numbers = read_plan_numbers(numbers_from->plan());
  return earlier;
}

OpenedRun open_run(const ExperimentPaths& experiment_paths, const Experiment& experiment,
                   const std::vector<Task>& tasks, const std::vector<Slots>& slots,
                   const LivenessOf& liveness_of) {
  const Capacity capacity = capacity_of(slots);
  while (true) {
    const auto [same, numbers] = earlier_run(experiment_paths, tasks);
    Plan plan = make_plan(experiment, tasks, capacity, numbers);
    require_no_refusal(plan);
    const RunPaths run = same ? *same : make_run(experiment_paths, experiment, plan, slots);
    if (!same && withdraw_if_second(experiment_paths, run, ids_of(tasks))) continue;
    try {
      auto claim = std::make_unique<LauncherClaim>(run, "", liveness_of);
      forget_cancels(run);
      return {run, std::move(plan), std::move(claim), !same};
    } catch (const Error& error) {
      if (error.code() == ExitCode::busy || fs::exists(run.plan())) throw;
    }
  }
}

}  // namespace muster
