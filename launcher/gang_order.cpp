#include "launcher/gang_order.hpp"

#include <nlohmann/json.hpp>

#include "core/cpu_list.hpp"
#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {

std::string placement_text(const GangOrder& order) {
  const Assignment given{order.ranks};
  const auto counted = [](std::size_t number, const std::string& noun) {
    return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
  };
  std::string text = counted(order.ranks.size(), "rank");
  const std::vector<std::string> hosts = given.hosts();
  const std::vector<std::string> gpus = given.gpus();
  if (hosts != std::vector<std::string>{""}) {
    // Which CPUs and GPUs of a host a step gets, Slurm decides.
    for (std::size_t i = 0; i < hosts.size(); ++i) text += (i == 0 ? " on " : ", ") + hosts[i];
    return gpus.empty() ? text : text + " with " + counted(gpus.size(), "GPU");
  }
  text += " on CPUs " + format_cpu_list(order.cpus);
  for (std::size_t i = 0; i < gpus.size(); ++i) text += (i == 0 ? ", GPUs " : ",") + gpus[i];
  if (order.environment.contains("MUSTER_GPUS")) text += " (shared)";
  if (order.environment.contains("OMPI_ALLOW_RUN_AS_ROOT"))
    text += " (as root: Open MPI is told that it may)";
  return text;
}

std::string gang_order_to_json(const GangOrder& order) {
  auto ranks = nlohmann::ordered_json::array();
  for (const RankPlace& rank : order.ranks)
    ranks.push_back({{"host", rank.host}, {"cpus", rank.cpus}, {"gpus", rank.gpus}});
  return nlohmann::ordered_json{{"argv", order.argv},
                                {"environment", order.environment},
                                {"unset", order.unset},
                                {"cpus", order.cpus},
                                {"ranks", ranks},
                                {"ranks_report", order.ranks_report},
                                {"claim", order.claim.string()},
                                {"working_folder", order.working_folder.string()},
                                {"kill_after_seconds", order.kill_after_seconds},
                                {"launcher", nlohmann::ordered_json::parse(identity_to_json(order.launcher))}}
             .dump(2) +
         "\n";
}

GangOrder read_gang_order(const std::filesystem::path& file) {
  const std::string text = read_text(file);
  try {
    const auto json = nlohmann::json::parse(text);
    GangOrder order;
    json.at("argv").get_to(order.argv);
    json.at("environment").get_to(order.environment);
    json.at("cpus").get_to(order.cpus);
    json.at("unset").get_to(order.unset);
    for (const auto& rank : json.at("ranks")) {
      order.ranks.push_back({rank.at("host").get<std::string>(), rank.at("cpus").get<std::vector<int>>(),
                             rank.at("gpus").get<std::vector<std::string>>()});
    }
    json.at("ranks_report").get_to(order.ranks_report);
    order.claim = json.at("claim").get<std::string>();
    order.working_folder = json.at("working_folder").get<std::string>();
    json.at("kill_after_seconds").get_to(order.kill_after_seconds);
    order.launcher = identity_from_json(json.at("launcher").dump());
    return order;
  } catch (const nlohmann::json::exception& error) {
    throw Error(ExitCode::storage, std::string("a gang's order is damaged: ") + error.what(),
                "remove the attempt's folder", SourcePlace{file});
  }
}

}  // namespace muster
