#include "core/task.hpp"

#include "core/checksum.hpp"
#include "core/resource_values.hpp"

namespace muster {

namespace {

constexpr std::size_t kIdDigits = 12;

/// Whether a parameter is at the default it has without being named; those are left out of the id.
bool at_default(const WorkloadSchema& schema, const std::string& name, const Value& value) {
  for (const ParameterSpec& spec : schema.parameters) {
    if (spec.name != name) continue;
    if (spec.required) return false;
    // A schema may spell a float's default as an integer.
    const bool both_numbers = (spec.default_value.is_int() || spec.default_value.is_float()) &&
                              (value.is_int() || value.is_float()) && spec.type == ParameterType::floating;
    return both_numbers ? spec.default_value.as_float() == value.as_float() : spec.default_value == value;
  }
  return name == "seed" && value == Value(0);
}

/// Ranks below MPS see a part of the GPU's processors, by which libraries choose the order of their sums.
std::string gpus_text(const Resources& resources) {
  if (!resources.shares_gpus()) return std::to_string(resources.gpus_per_rank);
  return "1/" + std::to_string(resources.ranks_per_gpu) + " " + to_string(resources.gpu_sharing);
}

bool changes_result(const WorkloadSchema& schema, const std::string& name) {
  for (const ParameterSpec& spec : schema.parameters) {
    if (spec.name == name) return spec.changes_result;
  }
  return true;
}

}  // namespace

std::string task_id(const Task& task, const WorkloadSchema& schema, const ContentOfParameters& content) {
  // docs/identity.md has this text; every byte of it decides which results are found again.
  std::string text = "muster-task 1\n";
  text += "workload " + Value(schema.name).canonical() + "\n";
  text += "result_version " + std::to_string(schema.result_version) + "\n";
  text += "ranks " + std::to_string(task.resources.ranks) + "\n";
  text += "cpus_per_rank " + std::to_string(task.resources.cpus_per_rank) + "\n";
  text += "gpus_per_rank " + gpus_text(task.resources) + "\n";
  if (!task.command.empty()) {
    text += "command " + Value(Value::List(task.command.begin(), task.command.end())).canonical() + "\n";
  }
  for (const auto& [name, value] : task.parameters) {
    if (!changes_result(schema, name)) continue;
    if (const auto digest = content.data.find(name); digest != content.data.end()) {
      text += "data " + name + " " + digest->second + "\n";
    } else if (const auto needed = content.needed.find(name); needed != content.needed.end()) {
      text += "needs " + name + " " + needed->second.canonical() + "\n";
    } else if (!at_default(schema, name, value)) {
      text += "parameter " + name + " " + value.canonical() + "\n";
    }
  }
  return checksum128(text).substr(0, kIdDigits);
}

std::uint64_t Task::seed() const {
  const auto found = parameters.find("seed");
  MUSTER_ASSERT(found != parameters.end());
  return static_cast<std::uint64_t>(found->second.as_int());
}

}  // namespace muster
