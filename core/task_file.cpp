#include <limits>

#include "core/durable_file.hpp"
#include "core/resource_values.hpp"
#include "core/task.hpp"
#include "core/toml_node.hpp"

namespace muster {

namespace {

std::string line(const std::string& key, const Value& value) {
  return key + " = " + value.canonical() + "\n";
}

std::string table(const std::string& name, const Parameters& values) {
  std::string text = "\n[" + name + "]\n";
  for (const auto& [key, value] : values) text += line(Value(key).canonical(), value);
  return text;
}

[[noreturn]] void throw_damaged(const std::string& why, const SourcePlace& place) {
  throw Error(ExitCode::storage, "the task's file is damaged: " + why, "run muster again: it is written anew",
              place);
}

/// Members of a table, each of which must be there.
class Members {
 public:
  explicit Members(const TomlNode& table) : table_(table) {}

  const TomlNode& at(const std::string& key) const {
    for (const TomlNode& item : table_.items) {
      if (item.key == key) return item;
    }
    throw_damaged("'" + key + "' is missing", table_.value_place);
  }
  std::string text(const std::string& key) const { return value(key, &Value::is_string).as_string(); }
  std::int64_t integer(const std::string& key) const { return value(key, &Value::is_int).as_int(); }
  int small(const std::string& key) const {
    const std::int64_t number = integer(key);
    if (number < 0 || number > std::numeric_limits<int>::max())
      throw_damaged("'" + key + "' is out of range", at(key).value_place);
    return static_cast<int>(number);
  }
  double number(const std::string& key) const { return value(key, &Value::is_float).as_float(); }
  Parameters values(const std::string& key) const {
    const TomlNode& node = at(key);
    if (node.kind != TomlNode::Kind::table) throw_damaged("'" + key + "' is no table", node.value_place);
    Parameters result;
    for (const TomlNode& item : node.items) result[item.key] = to_value(item);
    return result;
  }

 private:
  Value value(const std::string& key, bool (Value::*is_kind)() const) const {
    const TomlNode& node = at(key);
    Value found = to_value(node);
    if (!(found.*is_kind)()) throw_damaged("'" + key + "' is a " + found.kind(), node.value_place);
    return found;
  }

  const TomlNode& table_;
};

}  // namespace

void write_task(const Task& task, const std::filesystem::path& file) {
  Value::List command(task.command.begin(), task.command.end());
  std::string text = "# Written by muster for the ranks of this task.\n";
  text += line("id", task.id);
  text += line("label", task.label);
  text += line("workload", task.workload);
  text += line("plugin", task.plugin.string());
  text += line("command", std::move(command));
  text += table("parameters", task.parameters);
  text += table("cell", task.cell);
  text += table("resources", resource_values(task.resources));
  text += table("policy", {{"checkpoint_seconds", task.policy.checkpoint_seconds},
                           {"checkpoint_steps", task.policy.checkpoint_steps},
                           {"max_attempts", task.policy.max_attempts},
                           {"kill_after_seconds", task.policy.kill_after_seconds}});
  write_whole(file, text);
}

Task read_task(const std::filesystem::path& file) {
  try {
    const TomlNode root = parse_toml(read_text(file), file);
    const Members members(root);
    Task task;
    task.id = members.text("id");
    task.label = members.text("label");
    task.workload = members.text("workload");
    task.plugin = members.text("plugin");
    const Value command = to_value(members.at("command"));
    for (const Value& word : command.as_list()) task.command.push_back(word.as_string());
    task.parameters = members.values("parameters");
    task.cell = members.values("cell");
    const TomlNode& resources = members.at("resources");
    for (const auto& [name, value] : members.values("resources"))
      set_resource(task.resources, name, value, resources.value_place);
    for (const auto& [name, value] : resource_values(task.resources)) Members(resources).at(name);
    const Members policy(members.at("policy"));
    task.policy.checkpoint_seconds = policy.number("checkpoint_seconds");
    task.policy.checkpoint_steps = policy.integer("checkpoint_steps");
    task.policy.max_attempts = policy.small("max_attempts");
    task.policy.kill_after_seconds = policy.number("kill_after_seconds");
    return task;
  } catch (const Error& error) {
    if (error.code() == ExitCode::storage) throw;
    throw_damaged(error.problem(), error.place().value_or(SourcePlace{file}));
  }
}

}  // namespace muster
