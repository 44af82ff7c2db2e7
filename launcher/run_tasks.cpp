#include "launcher/run_tasks.hpp"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/resource_values.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr const char* kInfinity = "infinity";  // no number of JSON

Json to_json(const Value& value) {
  if (value.is_bool()) return value.as_bool();
  if (value.is_int()) return value.as_int();
  if (value.is_string()) return value.as_string();
  if (value.is_float()) {
    const double number = value.as_float();
    return std::isinf(number) ? Json{{kInfinity, number < 0 ? -1 : 1}} : Json(number);
  }
  Json list = Json::array();
  for (const Value& item : value.as_list()) list.push_back(to_json(item));
  return list;
}

Value value_of(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_number_integer()) return json.get<std::int64_t>();
  if (json.is_number_float()) return json.get<double>();
  if (json.is_string()) return json.get<std::string>();
  if (json.is_object()) return json.at(kInfinity).get<int>() * std::numeric_limits<double>::infinity();
  Value::List list;
  for (const Json& item : json) list.push_back(value_of(item));
  return list;
}

Json to_json(const Parameters& values) {
  Json json = Json::object();
  for (const auto& [name, value] : values) json[name] = to_json(value);
  return json;
}

Parameters parameters_of(const Json& json) {
  Parameters values;
  for (const auto& [name, value] : json.items()) values[name] = value_of(value);
  return values;
}

Json to_json(const PlannedTask& planned) {
  const Task& task = planned.task;
  return {{"number", planned.number},
          {"id", task.id},
          {"label", task.label},
          {"folder", task.folder_name()},
          {"workload", task.workload},
          {"plugin", task.plugin.string()},
          {"command", task.command},
          {"parameters", to_json(task.parameters)},
          {"cell", to_json(task.cell)},
          {"resources", to_json(resource_values(task.resources))},
          {"policy",
           {{"checkpoint_seconds", to_json(Value(task.policy.checkpoint_seconds))},
            {"checkpoint_steps", task.policy.checkpoint_steps},
            {"max_attempts", task.policy.max_attempts},
            {"kill_after_seconds", to_json(Value(task.policy.kill_after_seconds))}}},
          {"stage", task.stage},
          {"needs", task.needs},
          {"needed_numbers", planned.needs}};
}

PlannedTask planned_of(const Json& json) {
  PlannedTask planned;
  planned.number = json.at("number").get<int>();
  Task& task = planned.task;
  task.id = json.at("id").get<std::string>();
  task.label = json.at("label").get<std::string>();
  task.workload = json.at("workload").get<std::string>();
  task.plugin = json.at("plugin").get<std::string>();
  task.command = json.at("command").get<std::vector<std::string>>();
  task.parameters = parameters_of(json.at("parameters"));
  task.cell = parameters_of(json.at("cell"));
  for (const auto& [name, value] : parameters_of(json.at("resources")))
    set_resource(task.resources, name, value, SourcePlace{});
  const Json& policy = json.at("policy");
  task.policy.checkpoint_seconds = value_of(policy.at("checkpoint_seconds")).as_float();
  task.policy.checkpoint_steps = policy.at("checkpoint_steps").get<std::int64_t>();
  task.policy.max_attempts = policy.at("max_attempts").get<int>();
  task.policy.kill_after_seconds = value_of(policy.at("kill_after_seconds")).as_float();
  task.stage = json.value("stage", "");
  task.needs = json.value("needs", std::vector<std::string>());
  planned.needs = json.value("needed_numbers", std::vector<int>());
  return planned;
}

}  // namespace

void write_run_tasks(const RunPaths& run, const Plan& plan) {
  Json json{{"format", kFormat}, {"experiment", plan.experiment}, {"tasks", Json::array()}};
  for (const PlannedTask& planned : plan.tasks) json["tasks"].push_back(to_json(planned));
  write_durably(run.tasks(), json.dump() + "\n");
}

std::vector<PlannedTask> read_run_tasks(const RunPaths& run) {
  const std::string text = read_text(run.tasks());
  try {
    const Json json = Json::parse(text);
    std::vector<PlannedTask> tasks;
    for (const Json& item : json.at("tasks")) tasks.push_back(planned_of(item));
    return tasks;
  } catch (const Json::exception& error) {
    throw Error(ExitCode::storage, std::string("the run's list of tasks is damaged: ") + error.what(),
                "submit the experiment again: it is written anew", SourcePlace{run.tasks()});
  }
}

}  // namespace muster
