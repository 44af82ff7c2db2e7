/// What can be said about a request before Slurm is asked.

#include <algorithm>
#include <functional>
#include <limits>
#include <string_view>

#include "core/counted.hpp"
#include "core/nearest_name.hpp"
#include "slurm/job_request.hpp"
#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

using Places = std::map<std::string, SourcePlace>;

std::optional<SourcePlace> place_of(const Places& places, const std::string& option) {
  const auto found = places.find("slurm." + option);
  return found == places.end() ? std::nullopt : std::optional(found->second);
}

std::string known_gpus(const SlurmPartition& partition) {
  if (partition.gpus.empty()) return "no GPUs";
  std::string text;
  for (const SlurmGpuType& gpu : partition.gpus) {
    if (!text.empty()) text += ", ";
    text += counted(gpu.nodes, "node") + " with " + counted(gpu.per_node, "GPU");
    if (!gpu.type.empty()) text += " of type " + gpu.type;
    if (gpu.nodes != 1) text += " each";
  }
  return text;
}

std::string in_partition(const SlurmPartition& partition) { return "partition '" + partition.name + "'"; }

/// "32G" in MiB; nullopt where it is no size.
std::optional<std::int64_t> mebibytes(const std::string& text) {
  const std::size_t digits = text.find_first_not_of("0123456789");
  if (digits == 0 || text.empty() || std::min(digits, text.size()) > 15) return std::nullopt;
  const std::int64_t number = std::stoll(text.substr(0, digits));
  const std::string unit = digits == std::string::npos ? "m" : lower_case(text.substr(digits));
  if (unit == "k" || unit == "kb") return number / 1024;
  if (unit == "m" || unit == "mb") return number;
  if (unit == "g" || unit == "gb") return number * 1024;
  if (unit == "t" || unit == "tb") return number * 1024 * 1024;
  return std::nullopt;
}

void check_gpus(const JobRequest& request, const SlurmPartition& partition, const Places& places) {
  if (request.gpus_per_node == 0) return;
  const std::string& type = request.options.gpu_type;
  const auto can_give = [&](const SlurmGpuType& gpu) {
    return (type.empty() || gpu.type == type) && gpu.per_node >= request.gpus_per_node;
  };
  if (std::any_of(partition.gpus.begin(), partition.gpus.end(), can_give)) return;
  std::vector<std::string> types;
  int most = 0;
  for (const SlurmGpuType& gpu : partition.gpus) {
    if (!gpu.type.empty()) types.push_back(gpu.type);
    if (type.empty() || gpu.type == type) most = std::max(most, gpu.per_node);
  }
  if (!type.empty() && most == 0 && !partition.gpus.empty()) {
    throw Error(ExitCode::resources, in_partition(partition) + " has no GPU of type '" + type + "'",
                name_advice(type, types, "leave gpu_type out: this site names no types"),
                place_of(places, "gpu_type"));
  }
  throw Error(
      ExitCode::resources,
      counted(request.gpus_per_node, "GPU") + " a node" + (type.empty() ? "" : " of type " + type) +
          " cannot be had: " + in_partition(partition) + " has " + known_gpus(partition),
      most == 0 ? "choose another partition" : "ask for " + std::to_string(most) + " a node, on more nodes",
      place_of(places, type.empty() ? "partition" : "gpu_type"));
}

void check_nodes(const JobRequest& request, const SlurmPartition& partition, const Places& places) {
  const int most = std::min(partition.nodes, partition.max_nodes.value_or(partition.nodes));
  if (request.nodes > most) {
    throw Error(ExitCode::resources,
                counted(request.nodes, "node") + " cannot be had: " + in_partition(partition) + " " +
                    (most < partition.nodes ? "gives a job " : "has ") + std::to_string(most),
                "ask for fewer nodes, or choose another partition", place_of(places, "nodes"));
  }
  const std::int64_t cpus = std::int64_t{request.tasks_per_node} * request.cpus_per_task;
  if (cpus > partition.cpus_per_node) {
    throw Error(ExitCode::resources,
                counted(cpus, "CPU") + " a node cannot be had: the largest node of " +
                    in_partition(partition) + " has " + std::to_string(partition.cpus_per_node),
                "use more nodes, or fewer CPUs a rank", place_of(places, "partition"));
  }
}

void check_time(const JobRequest& request, const SlurmPartition& partition, const Places& places) {
  if (request.options.time.empty() || !partition.max_seconds) return;
  const auto seconds = parse_slurm_time(request.options.time);
  if (seconds && *seconds > *partition.max_seconds) {
    throw Error(ExitCode::resources,
                "a time of " + format_slurm_time(*seconds) + " is too long: " + in_partition(partition) +
                    " allows " + format_slurm_time(*partition.max_seconds),
                "ask for less; muster goes on in the next job", place_of(places, "time"));
  }
}

void check_memory(const JobRequest& request, const SlurmPartition& partition, const Places& places) {
  const auto wanted = mebibytes(request.options.mem);
  if (wanted && *wanted > partition.memory_per_node) {
    throw Error(ExitCode::resources,
                "mem = " + request.options.mem + " cannot be had: the largest node of " +
                    in_partition(partition) + " has " + std::to_string(partition.memory_per_node) + "M",
                "ask for less", place_of(places, "mem"));
  }
}

void check_partition(const JobRequest& request, const SlurmPartition& partition, const Places& places) {
  if (!partition.is_up) {
    throw Error(ExitCode::resources, in_partition(partition) + " starts no jobs now",
                "choose another partition, or ask the site when it comes back",
                place_of(places, "partition"));
  }
  check_nodes(request, partition, places);
  check_gpus(request, partition, places);
  check_time(request, partition, places);
  check_memory(request, partition, places);
}

void check_words(const JobRequest& request, const Places& places) {
  for (const std::string& module : request.options.modules) {
    const bool plain = !module.empty() && module.front() != '-' &&
                       module.find_first_of(" \t\n\r;&|<>()$`\\\"'*?[]{}!#~") == std::string::npos;
    if (!plain) {
      throw Error(ExitCode::config, "'" + module + "' is no name of a module", "write it like \"gcc/12.2.0\"",
                  place_of(places, "modules"));
    }
  }
  if (!request.options.time.empty() && !parse_slurm_time(request.options.time)) {
    throw Error(ExitCode::config, "time = \"" + request.options.time + "\" is no time that sbatch takes",
                "write it like \"90\" (minutes), \"12:30:00\" or \"2-12:30:00\"", place_of(places, "time"));
  }
  for (const auto& [option, value] :
       {std::pair("mem", request.options.mem), std::pair("mem_per_cpu", request.options.mem_per_cpu)}) {
    if (!value.empty() && !mebibytes(value)) {
      throw Error(ExitCode::config, std::string(option) + " = \"" + value + "\" is no size that sbatch takes",
                  "write it like \"32G\"", place_of(places, option));
    }
  }
}

void check_container(const SlurmCapabilities& capabilities, const JobRequest& request, const Places& places) {
  if (request.options.container.empty() || capabilities.version.at_least(21, 8)) return;
  throw Error(ExitCode::resources,
              "Slurm " + capabilities.version.text + " runs no containers: --container came with 21.08",
              "take container out of [slurm], and start the container in the task's command",
              place_of(places, "container"));
}

void check_array(const SlurmCapabilities& capabilities, const JobRequest& request, const Places& places) {
  for (const std::string& range : split_outside_brackets(request.array, ',')) {
    const std::size_t dash = range.find('-');
    const int last = leading_number(std::string_view(range).substr(dash == std::string::npos ? 0 : dash + 1));
    if (last >= capabilities.max_array_size) {
      throw Error(ExitCode::resources,
                  "task " + std::to_string(last) +
                      " has no place in an array: this Slurm's largest index is " +
                      std::to_string(capabilities.max_array_size - 1),
                  "use --pack", place_of(places, "array_throttle"));
    }
  }
}

std::vector<const SlurmPartition*> chosen_partitions(const SlurmCapabilities& capabilities,
                                                     const JobRequest& request, const Places& places) {
  if (request.options.partition.empty()) {
    const SlurmPartition* partition = capabilities.default_partition();
    if (partition != nullptr) return {partition};
    std::vector<std::string> names;
    for (const SlurmPartition& other : capabilities.partitions) names.push_back(other.name);
    throw Error(ExitCode::config, "this Slurm has no default partition",
                "name one in [slurm]: " + name_advice("", names), place_of(places, "partition"));
  }
  std::vector<const SlurmPartition*> chosen;
  for (const std::string& name : split_outside_brackets(request.options.partition, ',')) {
    const SlurmPartition* partition = capabilities.partition(name);
    if (partition == nullptr) {
      std::vector<std::string> names;
      for (const SlurmPartition& other : capabilities.partitions) names.push_back(other.name);
      throw Error(ExitCode::config, "there is no partition '" + name + "'", name_advice(name, names),
                  place_of(places, "partition"));
    }
    chosen.push_back(partition);
  }
  return chosen;
}

}  // namespace

void check_request(const SlurmCapabilities& capabilities, const JobRequest& request, const Places& places) {
  check_words(request, places);
  check_container(capabilities, request, places);
  if (!request.array.empty()) check_array(capabilities, request, places);
  if (capabilities.partitions.empty()) return;
  std::optional<Error> first;
  for (const SlurmPartition* partition : chosen_partitions(capabilities, request, places)) {
    try {
      check_partition(request, *partition, places);
      return;
    } catch (const Error& error) {
      if (!first) first = error;
    }
  }
  throw *first;
}

}  // namespace muster
