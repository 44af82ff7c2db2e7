#include "launcher/node_shape.hpp"

#include <algorithm>
#include <sstream>

namespace muster {

namespace {

const SlurmPartition* partition_of(const SlurmCapabilities& capabilities, const SlurmOptions& options) {
  if (options.partition.empty()) return capabilities.default_partition();
  std::istringstream names(options.partition);
  for (std::string name; std::getline(names, name, ',');) {
    if (const SlurmPartition* partition = capabilities.partition(name)) return partition;
  }
  return nullptr;
}

}  // namespace

std::optional<NodeShape> shape_of(const SlurmCapabilities& capabilities, const SlurmOptions& options) {
  const SlurmPartition* partition = partition_of(capabilities, options);
  if (partition == nullptr) return std::nullopt;
  NodeShape shape{partition->name,
                  std::min(partition->nodes, partition->max_nodes.value_or(partition->nodes)),
                  partition->cpus_per_node, 0};
  for (const SlurmGpuType& gpu : partition->gpus) {
    if (options.gpu_type.empty() || gpu.type == options.gpu_type)
      shape.gpus = std::max(shape.gpus, gpu.per_node);
  }
  return shape;
}

std::optional<TaskLayout> lay_out(const Resources& needs, const NodeShape& shape) {
  const auto ranks = std::int64_t{needs.ranks};
  const std::int64_t cpus = ranks * needs.cpus_per_rank;
  const std::int64_t gpus = ranks * needs.gpus_per_rank;
  // Ranks that may share CPUs do so on one node alone, as the packer has it.
  if ((needs.oversubscribe || cpus <= shape.cpus) && gpus <= shape.gpus && shape.nodes >= 1 &&
      shape.cpus >= 1) {
    return TaskLayout{1, needs.ranks, static_cast<int>(std::min<std::int64_t>(cpus, shape.cpus)),
                      static_cast<int>(gpus)};
  }
  std::int64_t most = shape.cpus / needs.cpus_per_rank;
  if (needs.gpus_per_rank > 0) most = std::min<std::int64_t>(most, shape.gpus / needs.gpus_per_rank);
  if (most == 0) return std::nullopt;
  std::int64_t nodes = (ranks + most - 1) / most;
  while (nodes <= shape.nodes && ranks % nodes != 0) ++nodes;
  if (nodes > shape.nodes) return std::nullopt;
  const int share = static_cast<int>(ranks / nodes);
  return TaskLayout{static_cast<int>(nodes), share, share * needs.cpus_per_rank, share * needs.gpus_per_rank};
}

}  // namespace muster
