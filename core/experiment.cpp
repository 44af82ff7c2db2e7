#include "core/experiment.hpp"

#include <cmath>
#include <limits>

#include "core/matrix_reader.hpp"
#include "core/resource_values.hpp"
#include "core/slurm_options_reader.hpp"
#include "core/toml_checks.hpp"

namespace muster {

namespace {

constexpr const char* kNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
constexpr std::size_t kLongestName = 100;

std::string string_of(const TomlNode& node, const std::string& name) {
  if (node.kind != TomlNode::Kind::value || !node.value.is_string()) throw_wrong_kind(name, "a string", node);
  return node.value.as_string();
}

/// Throws Error(config) where the member is missing.
const TomlNode& needed_member(const TomlNode& root, const std::string& key, const std::string& advice) {
  const TomlNode* node = find_member(root, key);
  if (node == nullptr)
    throw Error(ExitCode::config, "the experiment has no '" + key + "'", advice,
                SourcePlace{root.value_place.file});
  return *node;
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
  const TomlNode& node =
      needed_member(root, "workload", "name a built-in one (\"ddp\"), your own (\"./mine.so\") or \"exec\"");
  experiment.workload = string_of(node, "workload");
  if (experiment.workload.empty())
    throw Error(ExitCode::config, "the workload's name is empty",
                "name a built-in one (\"ddp\"), your own (\"./mine.so\") or \"exec\"", node.value_place);
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

void read_resources(const TomlNode& node, Experiment& experiment) {
  check_table(node, "resources");
  check_keys(node, {"ranks", "cpus_per_rank", "gpus_per_rank", "oversubscribe", "exclusive"}, "[resources]");
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

}  // namespace

Experiment read_experiment(const std::filesystem::path& file) {
  const TomlNode root = read_toml(file);
  check_keys(root, {"name", "workload", "command", "resources", "policy", "slurm", "parameters", "matrix"},
             "the experiment");
  Experiment experiment;
  experiment.file = file;
  experiment.places[""] = SourcePlace{file};
  for (const TomlNode& item : root.items) experiment.places[item.key] = item.key_place;
  experiment.name = read_name(root);
  read_workload(root, experiment);
  if (const TomlNode* node = find_member(root, "resources")) read_resources(*node, experiment);
  if (const TomlNode* node = find_member(root, "policy")) read_policy(*node, experiment);
  if (const TomlNode* node = find_member(root, "slurm"))
    experiment.slurm = read_slurm_options(*node, experiment.places);
  if (const TomlNode* node = find_member(root, "parameters")) read_parameters(*node, experiment);
  if (const TomlNode* node = find_member(root, "matrix"))
    experiment.matrix = read_matrix(*node, experiment.places);
  return experiment;
}

}  // namespace muster
