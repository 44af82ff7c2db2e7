#include "launcher/plan.hpp"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "core/counted.hpp"
#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/resource_values.hpp"
#include "core/stages.hpp"

namespace muster {

namespace {

using Json = nlohmann::ordered_json;

SourcePlace place_of(const Experiment& experiment, const std::string& resource) {
  for (const char* prefix : {"matrix.grid.", "matrix.zip.", ""}) {
    const auto found = experiment.places.find(prefix + ("resources." + resource));
    if (found != experiment.places.end()) return found->second;
  }
  return SourcePlace{experiment.file};
}

std::optional<Refusal> refuse(const Experiment& experiment, const Task& task, const Capacity& capacity) {
  const Resources& asked = task.resources;
  const auto cpus = std::int64_t{asked.ranks} * asked.cpus_per_rank;
  if (cpus > capacity.cpus && !asked.oversubscribe) {
    const bool by_ranks = asked.ranks > capacity.cpus || asked.cpus_per_rank == 1;
    return Refusal{counted(asked.ranks, "rank") + " with " + counted(asked.cpus_per_rank, "core") +
                       " each need " + std::to_string(cpus) + " cores, but there " +
                       (capacity.cpus == 1 ? "is " : "are ") + std::to_string(capacity.cpus),
                   "ask for less, or set oversubscribe = true under [resources] to share cores",
                   place_of(experiment, by_ranks ? "ranks" : "cpus_per_rank")};
  }
  const std::int64_t gpus = asked.gpus_of(asked.ranks);
  if (gpus > capacity.gpus) {
    return Refusal{counted(asked.ranks, "rank") + " with " + gpus_of_a_rank(asked) + " each need " +
                       std::to_string(gpus) + (gpus == 1 ? " GPU" : " GPUs") + ", but there " +
                       (capacity.gpus == 1 ? "is " : "are ") + std::to_string(capacity.gpus),
                   "ask for fewer GPUs, or say with --gpus how many there are",
                   place_of(experiment, "gpus_per_rank")};
  }
  if (capacity.cpus_of_host > 0 && asked.cpus_per_rank > capacity.cpus_of_host) {
    return Refusal{"a rank with " + counted(asked.cpus_per_rank, "core") + " fits no host: the largest has " +
                       std::to_string(capacity.cpus_of_host),
                   "lower cpus_per_rank", place_of(experiment, "cpus_per_rank")};
  }
  if (capacity.cpus_of_host > 0 && asked.gpus_per_rank > capacity.gpus_of_host) {
    return Refusal{"a rank with " + gpus_of_a_rank(asked) + " fits no host: the largest has " +
                       std::to_string(capacity.gpus_of_host),
                   "lower gpus_per_rank", place_of(experiment, "gpus_per_rank")};
  }
  return std::nullopt;
}

Json to_json(const Value& value) {
  // Canonical text is JSON, but for infinities.
  Json json = Json::parse(value.canonical(), nullptr, false);
  return json.is_discarded() ? Json(value.canonical()) : json;
}

Json to_json(const Resources& resources) {
  Json json = Json::object();
  for (const auto& [name, value] : resource_values(resources)) json[name] = to_json(value);
  return json;
}

Json to_json(const PlannedTask& planned) {
  Json json{{"number", planned.number},
            {"id", planned.task.id},
            {"folder", planned.task.folder_name()},
            {"label", planned.task.label},
            {"workload", planned.task.workload}};
  json["cell"] = Json::object();
  for (const auto& [key, value] : planned.task.cell) json["cell"][key] = to_json(value);
  json["resources"] = to_json(planned.task.resources);
  if (!planned.task.stage.empty()) {
    json["stage"] = planned.task.stage;
    json["needs"] = planned.needs;
  }
  json["refused"] = planned.refusal ? Json(planned.refusal->problem) : Json(nullptr);
  return json;
}

}  // namespace

Capacity capacity_of(const std::vector<Slots>& hosts) {
  Capacity capacity{0, 0, 0, 0};
  for (const Slots& host : hosts) {
    capacity.cpus += static_cast<int>(host.cpus.size());
    capacity.gpus += static_cast<int>(host.gpus.size());
    capacity.cpus_of_host = std::max(capacity.cpus_of_host, static_cast<int>(host.cpus.size()));
    capacity.gpus_of_host = std::max(capacity.gpus_of_host, static_cast<int>(host.gpus.size()));
  }
  return capacity;
}

Plan make_plan(const Experiment& experiment, const std::vector<Task>& tasks, const Capacity& capacity,
               const std::vector<NumberedTask>& earlier) {
  Plan plan;
  plan.experiment = experiment.name;
  std::map<std::string, int> numbers;
  int next = 0;
  for (const NumberedTask& known : earlier) {
    numbers[known.id] = known.number;
    next = std::max(next, known.number + 1);
  }
  std::set<std::string> present;
  std::map<std::string, int> number_of;
  for (const Task& task : tasks) {
    const auto known = numbers.find(task.id);
    const int number = known != numbers.end() ? known->second : next++;
    present.insert(task.id);
    number_of[task.folder_name()] = number;
    PlannedTask planned{number, task, refuse(stage_named(experiment, task.stage), task, capacity)};
    for (const std::string& needed : task.needs) planned.needs.push_back(number_of.at(needed));
    plan.tasks.push_back(std::move(planned));
  }
  for (const NumberedTask& known : earlier) {
    if (!present.contains(known.id)) plan.retired.push_back(known);
  }
  return plan;
}

void require_no_refusal(const Plan& plan) {
  const PlannedTask* first = nullptr;
  int refused = 0;
  for (const PlannedTask& planned : plan.tasks) {
    if (!planned.refusal) continue;
    if (first == nullptr) first = &planned;
    ++refused;
  }
  if (first == nullptr) return;
  std::string others;
  if (refused > 1) others = " (and so for " + counted(refused - 1, "other task") + ")";
  throw Error(ExitCode::resources,
              "task-" + std::to_string(first->number) + " (" + first->task.label +
                  ") has no room: " + first->refusal->problem + others,
              first->refusal->advice, first->refusal->place);
}

std::string plan_to_json(const Plan& plan) {
  Json json{{"format", 1}, {"experiment", plan.experiment}};
  json["tasks"] = Json::array();
  for (const PlannedTask& planned : plan.tasks) json["tasks"].push_back(to_json(planned));
  json["retired"] = Json::array();
  for (const NumberedTask& task : plan.retired)
    json["retired"].push_back({{"number", task.number}, {"id", task.id}, {"folder", task.folder}});
  return json.dump(1) + "\n";
}

std::vector<NumberedTask> read_plan_numbers(const std::filesystem::path& plan_file) {
  std::vector<NumberedTask> numbers;
  if (!std::filesystem::exists(plan_file)) return numbers;
  try {
    const Json json = Json::parse(read_text(plan_file));
    for (const char* list : {"tasks", "retired"}) {
      for (const Json& task : json.at(list)) {
        numbers.push_back({task.at("number").get<int>(), task.at("id").get<std::string>(),
                           task.at("folder").get<std::string>()});
      }
    }
  } catch (const Json::exception& error) {
    throw Error(ExitCode::storage, std::string("the run's plan is damaged: ") + error.what(),
                "move the run's folder away to start a new run (finished tasks stay finished)",
                SourcePlace{plan_file});
  }
  return numbers;
}

}  // namespace muster
