#include "core/stage_maker.hpp"

#include <algorithm>
#include <filesystem>

#include "core/command_template.hpp"
#include "core/nearest_name.hpp"
#include "core/resource_values.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongestLabel = 100;

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

std::string label_of(const StageTasks& stage, const Cell& cell, const std::string& workload) {
  std::string label = stage.experiment.stage;
  for (const std::string& key : stage.axes) {
    const auto found = cell.find(key);
    if (found != cell.end()) label += (label.empty() ? "" : "-") + label_of(key, found->second);
  }
  if (label.empty()) label = folder_text(workload);
  if (label.front() == '.' || label.front() == '-') label.insert(0, "_");
  return label.substr(0, kLongestLabel);
}

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

const ParameterSpec* find_spec(const WorkloadSchema& schema, const std::string& name) {
  const auto found = std::find_if(schema.parameters.begin(), schema.parameters.end(),
                                  [&](const ParameterSpec& spec) { return spec.name == name; });
  return found == schema.parameters.end() ? nullptr : &*found;
}

/// Whether the parameter takes a list of paths, not one. Throws Error(config) where it takes none.
bool takes_list(const WorkloadSchema& schema, const std::string& name, const References& references) {
  const ParameterSpec* spec = find_spec(schema, name);
  // One that is unknown is refused with all the others.
  if (spec == nullptr || spec->type == ParameterType::list) return spec != nullptr || references.in_brackets;
  if (spec->type != ParameterType::string || (!spec->choices.empty() && !spec->is_data_path))
    throw Error(ExitCode::config, "parameter '" + name + "' takes no path, so nothing of another stage",
                "give it a value", references.items.front().place);
  if (references.in_brackets)
    throw Error(ExitCode::config, "parameter '" + name + "' takes one path, not a list of them",
                "take the brackets away", references.items.front().place);
  return false;
}

}  // namespace

StageMaker::StageMaker(const StageTasks& own, const FoundWorkload& workload,
                       const std::vector<StageTasks>& stages, const std::vector<Task>& tasks)
    : own_(own), workload_(workload), tasks_(tasks), places_(own.experiment) {
  for (const auto& [name, references] : own.experiment.references) {
    takes_list_[name] = takes_list(workload.schema, name, references);
    for (const Reference& reference : references.items) {
      const StageTasks& needed = *std::find_if(stages.begin(), stages.end(), [&](const StageTasks& stage) {
        return stage.experiment.stage == reference.stage;
      });
      matchers_[name].emplace_back(reference, own, needed, tasks);
      axes_that_choose_.insert(needed.axes.begin(), needed.axes.end());
    }
  }
  named_places_ = own.experiment.places;
}

Task StageMaker::resolve(const Cell& cell) {
  const Experiment& experiment = own_.experiment;
  Task task;
  task.workload = workload_.schema.name;
  task.plugin = workload_.plugin;
  task.command = experiment.command;
  task.cell = cell;
  task.resources = experiment.resources;
  task.policy = experiment.policy;
  task.stage = experiment.stage;
  task.label = label_of(own_, cell, workload_.schema.name);
  Parameters given = experiment.parameters;
  for (const auto& [name, is_list] : takes_list_)
    given[name] = is_list ? Value(Value::List{}) : Value(std::string());
  for (const auto& [key, value] : cell) {
    const SourcePlace place = places_.of(key, value);
    if (const auto resource = resource_name_of(key)) {
      set_resource(task.resources, *resource, value, place);
    } else if (!only_chooses(key)) {
      given[key] = value;
      named_places_["parameters." + key] = place;
    }
  }
  settle_gpu_sharing(task.resources, places_.of_resource("gpus_per_rank", cell));
  task.parameters = resolve_parameters(workload_.schema, given, named_places_);
  check_placeholders(experiment, task.parameters, places_);
  for (const auto& [key, value] : cell) named_places_["parameters." + key] = places_.of("parameters." + key);
  return task;
}

std::map<std::string, NeededFiles> StageMaker::needed_by(const Task& task) const {
  std::map<std::string, NeededFiles> needed;
  for (const auto& [name, references] : own_.experiment.references) {
    if (task.cell.contains(name)) continue;
    NeededFiles& files = needed[name];
    files.is_list = takes_list_.at(name);
    for (std::size_t i = 0; i < references.items.size(); ++i) {
      for (const std::size_t found : matchers_.at(name)[i].match(task))
        files.files.push_back({found, references.items[i].file});
    }
    if (!files.is_list && files.files.size() > 1) throw_too_many(task, name, files);
  }
  return needed;
}

bool StageMaker::only_chooses(const std::string& key) const {
  return !workload_.schema.open && key != "seed" && find_spec(workload_.schema, key) == nullptr &&
         axes_that_choose_.contains(key);
}

void StageMaker::throw_too_many(const Task& task, const std::string& name, const NeededFiles& files) const {
  const Reference& reference = own_.experiment.references.at(name).items.front();
  throw Error(ExitCode::config,
              "parameter '" + name + "' of '" + task.label + "' takes one path, but " +
                  std::to_string(files.files.size()) + " tasks of stage '" + reference.stage +
                  "' are meant: " + tasks_[files.files[0].task].label + ", " +
                  tasks_[files.files[1].task].label + (files.files.size() > 2 ? ", ..." : ""),
              "choose one with where = { AXIS = VALUE }, or give this stage their axis", reference.place);
}

}  // namespace muster
