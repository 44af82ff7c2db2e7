/// What the commands of the probe print.

#include <algorithm>
#include <cctype>
#include <cstdlib>

#include "slurm/capabilities.hpp"
#include "slurm/job_request.hpp"
#include "slurm/scontrol_text.hpp"

namespace muster {
namespace {

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::optional<std::int64_t> seconds_or_none(const std::string& text) {
  if (text.empty() || text == "NONE" || text == "UNLIMITED" || text == "INFINITE") return std::nullopt;
  return parse_slurm_time(text);
}

struct NodeFacts {
  std::vector<std::string> partitions;
  int cpus = 0;
  std::int64_t memory = 0;
  std::vector<SlurmGpuType> gpus;
};

/// "gpu:a100:4(S:0-1),gpu:2,nic:1": type and count of the GPUs.
std::vector<SlurmGpuType> parse_gpus(const std::string& gres) {
  std::vector<SlurmGpuType> gpus;
  for (const std::string& part : split_outside_brackets(gres, ',')) {
    const std::string plain = part.substr(0, part.find('('));
    if (plain != "gpu" && !plain.starts_with("gpu:")) continue;
    const std::vector<std::string> words = split_outside_brackets(plain, ':');
    const bool counted = words.size() > 1 && std::isdigit(static_cast<unsigned char>(words.back()[0])) != 0;
    const std::string type = words.size() > (counted ? 2U : 1U) ? words[1] : "";
    const int count = counted ? leading_number(words.back()) : 1;
    const auto known =
        std::find_if(gpus.begin(), gpus.end(), [&](const SlurmGpuType& gpu) { return gpu.type == type; });
    if (known == gpus.end()) {
      gpus.push_back({type, count, 1});
    } else {
      known->per_node += count;
    }
  }
  return gpus;
}

NodeFacts parse_node(const std::string& line) {
  NodeFacts node;
  node.partitions = split_outside_brackets(scontrol_value(line, "Partitions"), ',');
  // CPUs that Slurm keeps for itself are no job's; before 22.05 it does not tell.
  node.cpus =
      leading_number(scontrol_value(line, "CPUEfctv"), leading_number(scontrol_value(line, "CPUTot")));
  node.memory = std::strtoll(scontrol_value(line, "RealMemory").c_str(), nullptr, 10);
  node.gpus = parse_gpus(scontrol_value(line, "Gres"));
  return node;
}

void add_node(const NodeFacts& node, SlurmPartition& partition) {
  partition.cpus_per_node = std::max(partition.cpus_per_node, node.cpus);
  partition.memory_per_node = std::max(partition.memory_per_node, node.memory);
  for (const SlurmGpuType& gpu : node.gpus) {
    const auto known = std::find_if(partition.gpus.begin(), partition.gpus.end(),
                                    [&](const SlurmGpuType& other) { return other.type == gpu.type; });
    if (known == partition.gpus.end()) {
      partition.gpus.push_back(gpu);
    } else {
      known->per_node = std::max(known->per_node, gpu.per_node);
      known->nodes += 1;
    }
  }
}

SlurmPartition parse_partition(const std::string& line) {
  SlurmPartition partition;
  partition.name = scontrol_value(line, "PartitionName");
  partition.is_default = scontrol_value(line, "Default") == "YES";
  const std::string state = scontrol_value(line, "State");
  partition.is_up = state.empty() || state == "UP";
  partition.max_seconds = seconds_or_none(scontrol_value(line, "MaxTime"));
  partition.default_seconds = seconds_or_none(scontrol_value(line, "DefaultTime"));
  partition.nodes = leading_number(scontrol_value(line, "TotalNodes"));
  const int max_nodes = leading_number(scontrol_value(line, "MaxNodes"), -1);
  if (max_nodes >= 0) partition.max_nodes = max_nodes;
  return partition;
}

}  // namespace

SlurmVersion parse_slurm_version(const std::string& text) {
  SlurmVersion version;
  // "slurm 23.11.4", "slurm-wlm 22.05.8", "slurm 24.05.0-rc1"
  const std::size_t begin = text.find_first_of("0123456789");
  if (begin == std::string::npos) return version;
  version.text = text.substr(begin, text.find_first_of(" \n\t", begin) - begin);
  const std::vector<std::string> parts = split_outside_brackets(version.text, '.');
  version.major = leading_number(parts[0]);
  if (parts.size() > 1) version.minor = leading_number(parts[1]);
  if (parts.size() > 2) version.micro = leading_number(parts[2]);
  return version;
}

std::vector<std::string> parse_mpi_list(const std::string& text) {
  std::vector<std::string> types;
  for (std::string line : lines_of(text)) {
    if (line.starts_with("srun: ")) line.erase(0, 6);
    line = trimmed(line);
    const std::size_t versions = line.find("versions available:");
    if (versions != std::string::npos) {
      for (const std::string& type : split_outside_brackets(line.substr(line.find(':') + 1), ',')) {
        if (!trimmed(type).empty()) types.push_back(trimmed(type));
      }
    } else if (!line.empty() && line.find_first_of(" :.") == std::string::npos) {
      types.push_back(line);
    }
  }
  return types;
}

void parse_slurm_config(const std::string& text, SlurmCapabilities& capabilities) {
  for (const std::string& line : lines_of(text)) {
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    const std::string key = trimmed(line.substr(0, equals));
    const std::string value = trimmed(line.substr(equals + 1));
    if (key == "ClusterName") capabilities.cluster = value;
    if (key == "SelectType") capabilities.select_type = value;
    if (key == "TaskPlugin") capabilities.task_plugin = value;
    if (key == "AccountingStorageType") {
      capabilities.accounting = value != "accounting_storage/none" && value != "(null)" && !value.empty();
    }
    if (key == "JobRequeue") capabilities.requeue = leading_number(value, 1) != 0;
    if (key == "MaxArraySize")
      capabilities.max_array_size = leading_number(value, capabilities.max_array_size);
    if (key == "MaxJobCount") capabilities.max_job_count = leading_number(value, capabilities.max_job_count);
    if (key == "MaxStepCount")
      capabilities.max_step_count = leading_number(value, capabilities.max_step_count);
    if (key == "KillWait") {
      capabilities.kill_wait_seconds = leading_number(value, capabilities.kill_wait_seconds);
    }
  }
}

std::vector<SlurmPartition> parse_partitions(const std::string& partitions_text,
                                             const std::string& nodes_text) {
  std::vector<SlurmPartition> partitions;
  for (const std::string& line : lines_of(partitions_text)) {
    if (line.starts_with("PartitionName=")) partitions.push_back(parse_partition(line));
  }
  for (const std::string& line : lines_of(nodes_text)) {
    if (!line.starts_with("NodeName=")) continue;
    const NodeFacts node = parse_node(line);
    for (SlurmPartition& partition : partitions) {
      if (std::find(node.partitions.begin(), node.partitions.end(), partition.name) !=
          node.partitions.end()) {
        add_node(node, partition);
      }
    }
  }
  return partitions;
}

}  // namespace muster
