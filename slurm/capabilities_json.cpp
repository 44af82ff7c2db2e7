/// Capabilities as the run's slurm.json.

#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "slurm/capabilities.hpp"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <class T>
std::optional<T> optional_of(const Json& json, const char* key) {
  const Json& value = json.at(key);
  return value.is_null() ? std::nullopt : std::optional<T>(value.get<T>());
}

Json to_json(const SlurmPartition& partition) {
  Json gpus = Json::array();
  for (const SlurmGpuType& gpu : partition.gpus) {
    gpus.push_back({{"type", gpu.type}, {"per_node", gpu.per_node}, {"nodes", gpu.nodes}});
  }
  return {{"name", partition.name},
          {"is_default", partition.is_default},
          {"is_up", partition.is_up},
          {"max_seconds", optional_json(partition.max_seconds)},
          {"default_seconds", optional_json(partition.default_seconds)},
          {"nodes", partition.nodes},
          {"max_nodes", optional_json(partition.max_nodes)},
          {"cpus_per_node", partition.cpus_per_node},
          {"memory_per_node", partition.memory_per_node},
          {"gpus", gpus}};
}

SlurmPartition partition_of(const Json& json) {
  SlurmPartition partition;
  partition.name = json.at("name").get<std::string>();
  partition.is_default = json.at("is_default").get<bool>();
  partition.is_up = json.at("is_up").get<bool>();
  partition.max_seconds = optional_of<std::int64_t>(json, "max_seconds");
  partition.default_seconds = optional_of<std::int64_t>(json, "default_seconds");
  partition.nodes = json.at("nodes").get<int>();
  partition.max_nodes = optional_of<int>(json, "max_nodes");
  partition.cpus_per_node = json.at("cpus_per_node").get<int>();
  partition.memory_per_node = json.at("memory_per_node").get<std::int64_t>();
  for (const Json& gpu : json.at("gpus")) {
    partition.gpus.push_back(
        {gpu.at("type").get<std::string>(), gpu.at("per_node").get<int>(), gpu.at("nodes").get<int>()});
  }
  return partition;
}

SlurmCapabilities capabilities_of(const Json& json) {
  SlurmCapabilities capabilities;
  const Json& version = json.at("version");
  capabilities.version = {version.at("major").get<int>(), version.at("minor").get<int>(),
                          version.at("text").get<std::string>(), version.at("micro").get<int>()};
  capabilities.cluster = json.at("cluster").get<std::string>();
  capabilities.mpi = json.at("mpi").get<std::vector<std::string>>();
  capabilities.select_type = json.at("select_type").get<std::string>();
  capabilities.task_plugin = json.at("task_plugin").get<std::string>();
  capabilities.accounting = json.at("accounting").get<bool>();
  capabilities.requeue = json.at("requeue").get<bool>();
  capabilities.max_array_size = json.at("max_array_size").get<int>();
  capabilities.max_job_count = json.at("max_job_count").get<int>();
  capabilities.max_step_count = json.at("max_step_count").get<int>();
  capabilities.kill_wait_seconds = json.at("kill_wait_seconds").get<int>();
  for (const Json& partition : json.at("partitions")) {
    capabilities.partitions.push_back(partition_of(partition));
  }
  return capabilities;
}

}  // namespace

std::string capabilities_to_json(const SlurmCapabilities& capabilities) {
  Json partitions = Json::array();
  for (const SlurmPartition& partition : capabilities.partitions) partitions.push_back(to_json(partition));
  const SlurmVersion& version = capabilities.version;
  const Json json = {{"version",
                      {{"major", version.major},
                       {"minor", version.minor},
                       {"micro", version.micro},
                       {"text", version.text}}},
                     {"cluster", capabilities.cluster},
                     {"mpi", capabilities.mpi},
                     {"select_type", capabilities.select_type},
                     {"task_plugin", capabilities.task_plugin},
                     {"accounting", capabilities.accounting},
                     {"requeue", capabilities.requeue},
                     {"max_array_size", capabilities.max_array_size},
                     {"max_job_count", capabilities.max_job_count},
                     {"max_step_count", capabilities.max_step_count},
                     {"kill_wait_seconds", capabilities.kill_wait_seconds},
                     {"partitions", partitions}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

SlurmCapabilities capabilities_from_json(const std::string& text) {
  try {
    return capabilities_of(Json::parse(text));
  } catch (const nlohmann::json::exception& exception) {
    throw Error(
        ExitCode::storage,
        std::string("what was kept of Slurm's capabilities cannot be read (") + exception.what() + ")",
        "remove the run's slurm.json: it is probed again");
  }
}

}  // namespace muster
