#include <algorithm>
#include <set>
#include <system_error>

#include "core/data_digest.hpp"
#include "core/matrix.hpp"
#include "core/nearest_name.hpp"
#include "core/run_paths.hpp"
#include "core/stage_maker.hpp"
#include "core/stages.hpp"
#include "core/task.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

/// Makes the path of a data set absolute and returns its digest.
std::string read_data_set(std::string& path_text, const ParameterSpec& spec, DataDigests& digests,
                          const SourcePlace& place) {
  const fs::path path = fs::absolute(path_text).lexically_normal();
  std::error_code error;
  if (!fs::exists(path, error)) {
    std::string advice = "give a path that is there; a relative one starts at the current folder";
    if (!spec.choices.empty()) advice += "; or a built-in name: " + name_advice(path_text, spec.choices);
    throw Error(ExitCode::data,
                "there is no data set '" + path.string() + "' (parameter '" + spec.name + "')", advice,
                place);
  }
  path_text = path.string();
  return digests.digest_of(path);
}

/// Makes data sets' paths absolute and returns their digests by parameter. Paths that are `needed` of other
/// tasks are no data sets: nothing may be there yet.
std::map<std::string, std::string> read_data(Task& task, const WorkloadSchema& schema,
                                             const ValuePlaces& places, DataDigests& digests,
                                             const std::map<std::string, NeededFiles>& needed) {
  std::map<std::string, std::string> result;
  for (const ParameterSpec& spec : schema.parameters) {
    if (!spec.is_data_path || needed.contains(spec.name)) continue;
    const SourcePlace place = places.of_parameter(spec.name, task.cell);
    Value& value = task.parameters.at(spec.name);
    if (value.is_list()) {
      Value::List paths;
      for (const Value& item : value.as_list()) {
        if (!item.is_string())
          throw Error(ExitCode::config,
                      "parameter '" + spec.name + "' is a list of paths, not of " + item.kind() + "s",
                      "give strings", place);
        std::string path = item.as_string();
        std::string& digest = result[spec.name];
        digest += (digest.empty() ? "" : " ") + read_data_set(path, spec, digests, place);
        paths.emplace_back(path);
      }
      value = paths;
      continue;
    }
    std::string path = value.as_string();
    const bool built_in = std::find(spec.choices.begin(), spec.choices.end(), path) != spec.choices.end();
    if (path.empty() || built_in) continue;
    result[spec.name] = read_data_set(path, spec, digests, place);
    value = path;
  }
  return result;
}

/// Labels of the folders that are there, by id. Of several folders for one id a finished one counts.
std::map<std::string, std::string> existing_labels(const ExperimentPaths& paths) {
  std::map<std::string, std::string> labels;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator item(paths.folder() / "tasks", error), end; !error && item != end;
       item.increment(error))
    names.push_back(item->path().filename().string());
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::size_t dash = name.rfind('-');
    if (dash == std::string::npos) continue;
    const std::string id = name.substr(dash + 1);
    if (!labels.contains(id) || fs::exists(paths.task(name).done(), error)) labels[id] = name.substr(0, dash);
  }
  return labels;
}

/// `places`: of each task.
void check_distinct(const std::vector<Task>& tasks, const std::vector<const ValuePlaces*>& places) {
  std::map<std::string, const Task*> by_id;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    const Task& task = tasks[i];
    const auto [found, is_new] = by_id.try_emplace(task.id, &task);
    if (is_new) continue;
    SourcePlace place = places[i]->of("");
    for (const auto& [key, value] : task.cell) {
      const auto other = found->second->cell.find(key);
      if (other == found->second->cell.end() || other->second != value) place = places[i]->of(key, value);
    }
    throw Error(
        ExitCode::config,
        "two cells are one and the same task: '" + found->second->label + "' and '" + task.label + "'",
        "what they differ in changes no result; remove one of them", place);
  }
}

std::vector<StageTasks> stages_of(const Experiment& experiment, const std::vector<FoundWorkload>& workloads) {
  std::vector<StageTasks> stages;
  if (experiment.stages.empty()) {
    stages.push_back({experiment, axis_order(experiment.matrix), 0, 0});
    return stages;
  }
  require_common_taken(experiment, workloads);
  std::vector<Experiment> full;
  for (std::size_t i = 0; i < workloads.size(); ++i)
    full.push_back(with_common(experiment, experiment.stages[i], workloads[i].schema, full));
  for (Experiment& stage : full) {
    std::vector<std::string> axes = axis_order(stage.matrix);
    stages.push_back({std::move(stage), std::move(axes), 0, 0});
  }
  return stages;
}

/// Tasks while they are made.
struct Draft {
  std::vector<Task> tasks;
  std::vector<std::map<std::string, NeededFiles>> needed;  ///< of each task
  std::vector<std::size_t> stage;                          ///< of each task
};

/// Fills in the id, from ids of needed tasks, which stand before it.
void identify(Draft& draft, std::size_t index, const WorkloadSchema& schema, const ValuePlaces& places,
              DataDigests& digests) {
  ContentOfParameters content;
  Task& task = draft.tasks[index];
  content.data = read_data(task, schema, places, digests, draft.needed[index]);
  for (const auto& [name, files] : draft.needed[index]) {
    content.needed[name] = files.value([&](const NeededFile& needed) {
      const std::string& id = draft.tasks[needed.task].id;
      return needed.file.empty() ? id : id + "/" + needed.file;
    });
  }
  task.id = task_id(task, schema, content);
}

/// Labels are final: fills in paths, and which tasks are needed.
void fill_paths(Draft& draft, const ExperimentPaths& paths) {
  for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
    Task& task = draft.tasks[i];
    std::set<std::size_t> indices;
    for (const auto& [name, files] : draft.needed[i]) {
      task.parameters[name] = files.value([&](const NeededFile& needed) {
        const fs::path artifacts = paths.task(draft.tasks[needed.task].folder_name()).artifacts();
        return (needed.file.empty() ? artifacts : artifacts / needed.file).string();
      });
      for (const NeededFile& needed : files.files) indices.insert(needed.task);
    }
    for (const std::size_t index : indices) task.needs.push_back(draft.tasks[index].folder_name());
  }
}

}  // namespace

std::vector<Task> make_tasks(const Experiment& experiment, const std::vector<FoundWorkload>& workloads,
                             const fs::path& runs_root) {
  std::vector<StageTasks> stages = stages_of(experiment, workloads);
  MUSTER_ASSERT(stages.size() == workloads.size());
  Draft draft;
  std::vector<StageMaker> makers;
  makers.reserve(stages.size());
  // All that the file itself can get wrong comes before the first data set is read.
  for (std::size_t i = 0; i < stages.size(); ++i) {
    StageMaker& maker = makers.emplace_back(stages[i], workloads[i], stages, draft.tasks);
    stages[i].first = draft.tasks.size();
    for (const Cell& cell : expand(stages[i].experiment.matrix, experiment.file)) {
      draft.tasks.push_back(maker.resolve(cell));
      draft.needed.push_back(maker.needed_by(draft.tasks.back()));
      draft.stage.push_back(i);
    }
    stages[i].count = draft.tasks.size() - stages[i].first;
  }
  DataDigests digests(runs_root);
  std::vector<const ValuePlaces*> places;
  for (std::size_t i = 0; i < draft.tasks.size(); ++i) {
    const std::size_t stage = draft.stage[i];
    places.push_back(&makers[stage].places());
    identify(draft, i, workloads[stage].schema, *places.back(), digests);
  }
  check_distinct(draft.tasks, places);
  const ExperimentPaths paths(fs::absolute(runs_root).lexically_normal(), experiment.name);
  const auto labels = existing_labels(paths);
  for (Task& task : draft.tasks) {
    if (const auto found = labels.find(task.id); found != labels.end()) task.label = found->second;
  }
  fill_paths(draft, paths);
  return std::move(draft.tasks);
}

std::vector<Task> make_tasks(const Experiment& experiment, const WorkloadSchema& schema,
                             const fs::path& plugin, const fs::path& runs_root) {
  const std::vector<FoundWorkload> only{FoundWorkload{schema, plugin}};
  return make_tasks(experiment, only, runs_root);
}

}  // namespace muster
