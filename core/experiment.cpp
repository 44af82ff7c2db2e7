#include "core/experiment.hpp"

#include <cmath>
#include <limits>

#include "core/matrix_reader.hpp"
#include "core/reference_reader.hpp"
#include "core/resource_values.hpp"
#include "core/slurm_options_reader.hpp"
#include "core/stages.hpp"
#include "core/toml_checks.hpp"

namespace muster {

namespace {

constexpr const char* kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr std::size_t kLongestName = 100;

std::string string_of(const TomlNode& node, const std::string& name) {
  if (node.kind != TomlNode::Kind::value || !node.value.is_string()) throw_wrong_kind(name, "a string", node);
  return node.value.as_string();
}

constexpr const char* kWorkloadAdvice = "name a built-in one (\"ddp\"), your own (\"./mine.so\") or \"exec\"";

/// Throws Error(config) where the member is missing. `table` is the root, or a stage.
const TomlNode& needed_member(const TomlNode& table, const std::string& key, const std::string& advice) {
  const TomlNode* node = find_member(table, key);
  if (node != nullptr) return *node;
  const bool is_root = table.key.empty();
  throw Error(ExitCode::config,
              (is_root ? "the experiment" : "stage '" + table.key + "'") + " has no '" + key + "'", advice,
              is_root ? SourcePlace{table.value_place.file} : table.key_place);
}

std::string read_name(const TomlNode& root) {
  const TomlNode& node =
      needed_member(root, "name", "give it one, as name = \"quickstart\": it names the results' folder");
  const std::string name = string_of(node, "name");
  if (name.empty() || name.size() > kLongestName ||
      name.find_first_not_of(kNameCharacters) != std::string::npos || name.front() == '.' ||
      name.front() == '-')
    throw Error(ExitCode::config, "the name " + Value(name).canonical() + " cannot be a folder's",
                "use letters, digits, '.', '_' and '-', at most 100, and begin with a letter, digit or '_'",
                node.value_place);
  return name;
}

void read_workload(const TomlNode& root, Experiment& experiment) {
  const TomlNode& node = needed_member(root, "workload", kWorkloadAdvice);
  experiment.workload = string_of(node, "workload");
  if (experiment.workload.empty())
    throw Error(ExitCode::config, "the workload's name is empty", kWorkloadAdvice, node.value_place);
  const TomlNode* command = find_member(root, "command");
  if (experiment.workload != "exec") {
    if (command != nullptr)
      throw Error(ExitCode::config, "a command is given, but the workload is '" + experiment.workload + "'",
                  "a command goes with workload = \"exec\"", command->key_place);
    return;
  }
  if (command == nullptr)
    throw Error(ExitCode::config, "the workload 'exec' has no command to run",
                "give one, as command = [\"python\", \"train.py\", \"--lr\", \"{lr}\"]", node.value_place);
  if (command->kind != TomlNode::Kind::array) throw_wrong_kind("command", "a list of strings", *command);
  for (const TomlNode& word : command->items) {
    const std::string name = "command[" + std::to_string(experiment.command.size()) + "]";
    experiment.command.push_back(string_of(word, name));
    experiment.places[name] = word.value_place;
  }
  if (experiment.command.empty() || experiment.command.front().empty())
    throw Error(ExitCode::config, "the command is empty",
                "give one, as command = [\"python\", \"train.py\", \"--lr\", \"{lr}\"]",
                command->value_place);
}

void read_parameters(const TomlNode& node, Experiment& experiment) {
  check_table(node, "parameters");
  for (const auto& [name, item] : flatten(node, "parameters.", experiment.places))
    experiment.parameters[name] = to_value(*item);
}

void read_parameters_of_stage(const TomlNode& node, Experiment& stage) {
  check_table(node, "parameters");
  for (const auto& [name, item] : flatten(node, "parameters.", stage.places, is_reference)) {
    if (auto references = read_references(*item, "parameters." + name)) {
      stage.references[name] = *std::move(references);
    } else {
      stage.parameters[name] = to_value(*item);
    }
  }
}

void read_common_parameters(const TomlNode& node, Experiment& whole) {
  Places scratch;
  check_table(node, "parameters");
  for (const auto& [name, item] : flatten(node, "", scratch, is_reference)) {
    if (read_references(*item, "parameters." + name))
      throw Error(ExitCode::config, "'" + name + "' takes from a stage, but stands among what is common",
                  "give it in each stage that needs it", item->key_place);
  }
  read_parameters(node, whole);
}

void read_resources(const TomlNode& node, Experiment& experiment) {
  check_table(node, "resources");
  check_keys(node, resource_names(), "[resources]");
  for (const TomlNode& item : node.items) {
    if (item.kind == TomlNode::Kind::table) throw_wrong_kind("resources." + item.key, "a value", item);
    set_resource(experiment.resources, item.key, to_value(item), item.value_place);
    experiment.places["resources." + item.key] = item.key_place;
  }
}

double seconds_of(const TomlNode& node, const std::string& name) {
  if (node.kind != TomlNode::Kind::value || !(node.value.is_int() || node.value.is_float()))
    throw_wrong_kind(name, "a number of seconds", node);
  const double seconds = node.value.as_float();
  if (!(seconds >= 0) || std::isinf(seconds))
    throw Error(ExitCode::config, "'" + name + "' cannot be " + node.value.canonical(),
                "give seconds, 0 or more", node.value_place);
  return seconds;
}

std::int64_t count_of(const TomlNode& node, const std::string& name, std::int64_t least, std::int64_t most) {
  if (node.kind != TomlNode::Kind::value || !node.value.is_int()) throw_wrong_kind(name, "an integer", node);
  const std::int64_t number = node.value.as_int();
  if (number < least || number > most)
    throw Error(ExitCode::config, "'" + name + "' cannot be " + node.value.canonical(),
                "give a number from " + std::to_string(least) + " to " + std::to_string(most),
                node.value_place);
  return number;
}

void read_policy(const TomlNode& node, Experiment& experiment) {
  check_table(node, "policy");
  check_keys(node, {"checkpoint_seconds", "checkpoint_steps", "max_attempts", "kill_after_seconds"},
             "[policy]");
  for (const TomlNode& item : node.items) {
    const std::string name = "policy." + item.key;
    experiment.places[name] = item.key_place;
    if (item.key == "checkpoint_seconds") experiment.policy.checkpoint_seconds = seconds_of(item, name);
    if (item.key == "kill_after_seconds") experiment.policy.kill_after_seconds = seconds_of(item, name);
    if (item.key == "checkpoint_steps")
      experiment.policy.checkpoint_steps = count_of(item, name, 0, std::numeric_limits<std::int64_t>::max());
    if (item.key == "max_attempts")
      experiment.policy.max_attempts = static_cast<int>(count_of(item, name, 1, 1'000'000));
  }
}

Experiment read_stage(const TomlNode& node, const Experiment& whole) {
  const std::string where = "stage '" + node.key + "'";
  if (node.key.empty() || node.key.front() == '-' || node.key.size() > kLongestName ||
      node.key.find_first_not_of(kNameCharacters) != std::string::npos ||
      node.key.find('.') != std::string::npos)
    throw Error(ExitCode::config, "the stage's name " + Value(node.key).canonical() + " cannot be in a label",
                "use letters, digits, '_' and '-', at most 100, and begin with a letter, digit or '_'",
                node.key_place);
  check_table(node, "stages." + node.key);
  check_keys(node, {"workload", "command", "parameters", "matrix", "resources"}, where);
  Experiment stage;
  stage.file = whole.file;
  stage.name = whole.name;
  stage.stage = node.key;
  stage.policy = whole.policy;
  stage.resources = whole.resources;
  for (const char* key : {"", "workload", "parameters"}) stage.places[key] = node.key_place;
  for (const TomlNode& item : node.items) stage.places[item.key] = item.key_place;
  read_workload(node, stage);
  if (const TomlNode* item = find_member(node, "resources")) read_resources(*item, stage);
  if (const TomlNode* item = find_member(node, "parameters")) read_parameters_of_stage(*item, stage);
  if (const TomlNode* item = find_member(node, "matrix")) stage.matrix = read_matrix(*item, stage.places);
  stage.places.insert(whole.places.begin(), whole.places.end());
  return stage;
}

/// The root of a file with stages holds what is common to them.
void read_stages(const TomlNode& root, const TomlNode& stages, Experiment& whole) {
  for (const char* key : {"workload", "command"}) {
    if (const TomlNode* node = find_member(root, key))
      throw Error(ExitCode::config, "the experiment has stages, but '" + std::string(key) + "' of its own",
                  "each stage has its own", node->key_place);
  }
  if (const TomlNode* matrix = find_member(root, "matrix")) {
    for (const char* key : {"zip", "include", "exclude"}) {
      if (const TomlNode* node = find_member(*matrix, key))
        throw Error(ExitCode::config, "'matrix." + std::string(key) + "' cannot be common to stages",
                    "only grid can; give it in the stages that it is for", node->key_place);
    }
  }
  check_table(stages, "stages");
  if (stages.items.empty())
    throw Error(ExitCode::config, "there are no stages under 'stages'",
                "give one, as [stages.train] with a workload", stages.key_place);
  for (const TomlNode& node : stages.items) whole.stages.push_back(read_stage(node, whole));
  sort_stages(whole.stages);
}

}  // namespace

Experiment read_experiment(const std::filesystem::path& file) {
  const TomlNode root = read_toml(file);
  check_keys(
      root, {"name", "workload", "command", "resources", "policy", "slurm", "parameters", "matrix", "stages"},
      "the experiment");
  Experiment experiment;
  experiment.file = file;
  experiment.places[""] = SourcePlace{file};
  for (const TomlNode& item : root.items) experiment.places[item.key] = item.key_place;
  experiment.name = read_name(root);
  const TomlNode* stages = find_member(root, "stages");
  if (stages == nullptr) read_workload(root, experiment);
  if (const TomlNode* node = find_member(root, "resources")) read_resources(*node, experiment);
  if (const TomlNode* node = find_member(root, "policy")) read_policy(*node, experiment);
  if (const TomlNode* node = find_member(root, "slurm"))
    experiment.slurm = read_slurm_options(*node, experiment.places);
  if (const TomlNode* node = find_member(root, "parameters"))
    (stages == nullptr ? read_parameters : read_common_parameters)(*node, experiment);
  if (const TomlNode* node = find_member(root, "matrix"))
    experiment.matrix = read_matrix(*node, experiment.places);
  if (stages != nullptr) read_stages(root, *stages, experiment);
  return experiment;
}

}  // namespace muster
