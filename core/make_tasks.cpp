#include <algorithm>
#include <system_error>

#include "core/command_template.hpp"
#include "core/data_digest.hpp"
#include "core/matrix.hpp"
#include "core/nearest_name.hpp"
#include "core/resource_values.hpp"
#include "core/run_paths.hpp"
#include "core/task.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Places = std::map<std::string, SourcePlace>;

constexpr std::size_t kLongestLabel = 100;

/// Axis keys in the file's order; keys of included cells that are on no axis follow.
std::vector<std::string> axis_order(const Matrix& matrix) {
  std::vector<std::string> order;
  const auto add = [&order](const std::string& key) {
    if (std::find(order.begin(), order.end(), key) == order.end()) order.push_back(key);
  };
  for (const Axis& axis : matrix.grid) add(axis.key);
  for (const Axis& axis : matrix.zip) add(axis.key);
  for (const Cell& cell : matrix.include) {
    for (const auto& [key, value] : cell) add(key);
  }
  return order;
}

std::string folder_text(const std::string& text) {
  std::string result;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '_' || c == '-' || c == '+';
    result += plain ? c : '_';
  }
  return result;
}

/// Words speak for themselves ("resnet9"); numbers and flags are told apart by their name ("ranks2").
std::string label_of(const std::string& key, const Value& value) {
  const std::string last_name = key.substr(key.rfind('.') + 1);
  if (!value.is_string()) {
    std::string text = value.is_list() ? "" : value.canonical();
    if (value.is_list()) {
      for (const Value& element : value.as_list()) text += (text.empty() ? "" : "_") + element.text();
    }
    return folder_text(last_name + text);
  }
  const std::string& text = value.as_string();
  if (text.find('/') == std::string::npos) return folder_text(text.empty() ? last_name : text);
  const fs::path path = fs::path(text).lexically_normal();
  return folder_text((path.has_filename() ? path : path.parent_path()).filename().string());
}

std::string label_of(const std::vector<std::string>& order, const Cell& cell, const std::string& workload) {
  std::string label;
  for (const std::string& key : order) {
    const auto found = cell.find(key);
    if (found != cell.end()) label += (label.empty() ? "" : "-") + label_of(key, found->second);
  }
  if (label.empty()) label = folder_text(workload);
  if (label.front() == '.' || label.front() == '-') label.insert(0, "_");
  return label.substr(0, kLongestLabel);
}

/// Where the values of cells stand in the file.
class ValuePlaces {
 public:
  explicit ValuePlaces(const Experiment& experiment) : experiment_(experiment) {
    for (const Axis& axis : experiment.matrix.grid) add(axis, "matrix.grid.");
    for (const Axis& axis : experiment.matrix.zip) add(axis, "matrix.zip.");
    for (std::size_t i = 0; i < experiment.matrix.include.size(); ++i) {
      for (const auto& [key, value] : experiment.matrix.include[i])
        places_.try_emplace(name_of(key, value), of("matrix.include[" + std::to_string(i) + "]." + key));
    }
  }

  /// Of a key by its dotted name from the root; the whole file where it is not there.
  SourcePlace of(const std::string& name) const {
    const auto found = experiment_.places.find(name);
    return found == experiment_.places.end() ? SourcePlace{experiment_.file} : found->second;
  }
  SourcePlace of(const std::string& key, const Value& value) const {
    const auto found = places_.find(name_of(key, value));
    return found == places_.end() ? SourcePlace{experiment_.file} : found->second;
  }
  /// Of the value that a cell's parameter has.
  SourcePlace of_parameter(const std::string& name, const Cell& cell) const {
    const auto found = cell.find(name);
    return found == cell.end() ? of("parameters." + name) : of(name, found->second);
  }

 private:
  static std::string name_of(const std::string& key, const Value& value) {
    return key + " = " + value.canonical();
  }
  void add(const Axis& axis, const std::string& prefix) {
    for (std::size_t i = 0; i < axis.values.size(); ++i)
      places_.try_emplace(name_of(axis.key, axis.values[i]),
                          of(prefix + axis.key + "[" + std::to_string(i) + "]"));
  }

  const Experiment& experiment_;
  Places places_;
};

void check_placeholders(const Experiment& experiment, const Parameters& parameters,
                        const ValuePlaces& places) {
  std::vector<std::string> known;
  for (const auto& [name, value] : parameters) known.push_back(name);
  for (std::size_t i = 0; i < experiment.command.size(); ++i) {
    for (const std::string& name : placeholders(experiment.command[i])) {
      if (parameters.contains(name)) continue;
      throw Error(ExitCode::config, "the command asks for '{" + name + "}', but there is no such parameter",
                  name_advice(name, known) + " (write '{{" + name + "}}' for the braces themselves)",
                  places.of("command[" + std::to_string(i) + "]"));
    }
  }
}

/// `named_places` are the experiment's; while this runs, a parameter's name stands for the cell's value.
Task resolve(const Experiment& experiment, const WorkloadSchema& schema, const fs::path& plugin,
             const Cell& cell, const ValuePlaces& places, Places& named_places) {
  Task task;
  task.workload = schema.name;
  task.plugin = plugin;
  task.command = experiment.command;
  task.cell = cell;
  task.resources = experiment.resources;
  task.policy = experiment.policy;
  Parameters given = experiment.parameters;
  for (const auto& [key, value] : cell) {
    const SourcePlace place = places.of(key, value);
    if (const auto resource = resource_name_of(key)) {
      set_resource(task.resources, *resource, value, place);
    } else {
      given[key] = value;
      named_places["parameters." + key] = place;
    }
  }
  task.parameters = resolve_parameters(schema, given, named_places);
  check_placeholders(experiment, task.parameters, places);
  for (const auto& [key, value] : cell) named_places["parameters." + key] = places.of("parameters." + key);
  return task;
}

/// Makes data sets' paths absolute and returns their digests by parameter.
std::map<std::string, std::string> read_data(Task& task, const WorkloadSchema& schema,
                                             const ValuePlaces& places, DataDigests& digests) {
  std::map<std::string, std::string> result;
  for (const ParameterSpec& spec : schema.parameters) {
    if (!spec.is_data_path) continue;
    const std::string given = task.parameters.at(spec.name).as_string();
    const bool built_in = std::find(spec.choices.begin(), spec.choices.end(), given) != spec.choices.end();
    if (given.empty() || built_in) continue;
    const fs::path path = fs::absolute(given).lexically_normal();
    std::error_code error;
    if (!fs::exists(path, error)) {
      std::string advice = "give a path that is there; a relative one starts at the current folder";
      if (!spec.choices.empty()) advice += "; or a built-in name: " + name_advice(given, spec.choices);
      throw Error(ExitCode::data,
                  "there is no data set '" + path.string() + "' (parameter '" + spec.name + "')", advice,
                  places.of_parameter(spec.name, task.cell));
    }
    task.parameters[spec.name] = path.string();
    result[spec.name] = digests.digest_of(path);
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

void check_distinct(const Experiment& experiment, const std::vector<Task>& tasks, const ValuePlaces& places) {
  std::map<std::string, const Task*> by_id;
  for (const Task& task : tasks) {
    const auto [found, is_new] = by_id.try_emplace(task.id, &task);
    if (is_new) continue;
    SourcePlace place{experiment.file};
    for (const auto& [key, value] : task.cell) {
      const auto other = found->second->cell.find(key);
      if (other == found->second->cell.end() || other->second != value) place = places.of(key, value);
    }
    throw Error(
        ExitCode::config,
        "two cells are one and the same task: '" + found->second->label + "' and '" + task.label + "'",
        "what they differ in changes no result; remove one of them", place);
  }
}

}  // namespace

std::vector<Task> make_tasks(const Experiment& experiment, const WorkloadSchema& schema,
                             const fs::path& plugin, const fs::path& runs_root) {
  const std::vector<std::string> order = axis_order(experiment.matrix);
  const ValuePlaces places(experiment);
  Places named_places = experiment.places;
  std::vector<Task> tasks;
  // All that the file itself can get wrong comes before the first data set is read.
  for (const Cell& cell : expand(experiment.matrix, experiment.file)) {
    tasks.push_back(resolve(experiment, schema, plugin, cell, places, named_places));
    tasks.back().label = label_of(order, cell, schema.name);
  }
  DataDigests digests(runs_root);
  for (Task& task : tasks) task.id = task_id(task, schema, read_data(task, schema, places, digests));
  check_distinct(experiment, tasks, places);
  const auto labels = existing_labels(ExperimentPaths(runs_root, experiment.name));
  for (Task& task : tasks) {
    if (const auto found = labels.find(task.id); found != labels.end()) task.label = found->second;
  }
  return tasks;
}

}  // namespace muster
