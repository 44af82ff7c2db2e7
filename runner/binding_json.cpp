/// The JSON of binding reports.

#include <nlohmann/json.hpp>

#include "core/cpu_list.hpp"
#include "core/resource_values.hpp"
#include "runner/binding.hpp"

namespace muster {
namespace {

using Json = nlohmann::ordered_json;

Json to_json(const BoundGpu& gpu) {
  Json json{{"name", gpu.name}, {"seen", gpu.seen}};
  if (gpu.seen)
    json.update({{"model", gpu.model}, {"uuid", gpu.uuid}, {"pci", gpu.pci}, {"numa_node", gpu.numa_node}});
  return json;
}

Json to_json(const RankBinding& rank) {
  Json json{{"rank", rank.rank},
            {"host", rank.host},
            {"boot_id", rank.boot_id},
            {"cpus", format_cpu_list(rank.cpus)},
            {"cpus_are_own", rank.cpus_are_own},
            {"numa_nodes", rank.numa_nodes},
            {"gpus_on_host", rank.gpus_on_host},
            {"gpus", Json::array()}};
  for (const BoundGpu& gpu : rank.gpus) json["gpus"].push_back(to_json(gpu));
  if (rank.ranks_per_gpu > 1)
    json.update({{"ranks_per_gpu", rank.ranks_per_gpu}, {"gpu_sharing", to_string(rank.gpu_sharing)}});
  return json;
}

}  // namespace

std::string rank_binding_to_json(const RankBinding& rank) {
  return to_json(rank).dump(-1, ' ', false, Json::error_handler_t::replace);
}

RankBinding rank_binding_from_json(const std::string& text) {
  const Json json = Json::parse(text);
  RankBinding rank{.rank = json.at("rank"),
                   .host = json.at("host"),
                   .boot_id = json.at("boot_id"),
                   .cpus = parse_cpu_list(json.at("cpus").get<std::string>()),
                   .cpus_are_own = json.at("cpus_are_own"),
                   .numa_nodes = json.at("numa_nodes"),
                   .gpus_on_host = json.at("gpus_on_host")};
  for (const Json& gpu : json.at("gpus"))
    rank.gpus.push_back({gpu.at("name"), gpu.at("seen"), gpu.value("model", ""), gpu.value("uuid", ""),
                         gpu.value("pci", ""), gpu.value("numa_node", -1)});
  rank.ranks_per_gpu = json.value("ranks_per_gpu", 1);
  rank.gpu_sharing = gpu_sharing_of(json.value("gpu_sharing", "none"));
  return rank;
}

std::string binding_to_json(const std::vector<RankBinding>& ranks, const BindingVerdict& verdict) {
  Json json{{"refused", verdict.refusal ? Json(verdict.refusal->problem()) : Json(nullptr)},
            {"warnings", verdict.warnings},
            {"ranks", Json::array()}};
  for (const RankBinding& rank : ranks) json["ranks"].push_back(to_json(rank));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace muster
