#include "launcher/node_shape.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "core/counted.hpp"
#include "core/resource_values.hpp"

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
  const std::int64_t gpus = needs.gpus_of(ranks);
  // Ranks that may share CPUs do so on one node alone, as the packer has it.
  if ((needs.oversubscribe || cpus <= shape.cpus) && gpus <= shape.gpus && shape.nodes >= 1 &&
      shape.cpus >= 1) {
    return TaskLayout{1, needs.ranks, static_cast<int>(std::min<std::int64_t>(cpus, shape.cpus)),
                      static_cast<int>(gpus)};
  }
  std::int64_t most = shape.cpus / needs.cpus_per_rank;
  if (needs.gpus_per_rank > 0)
    most = std::min(most, std::int64_t{shape.gpus} / needs.gpus_per_rank * needs.ranks_per_gpu);
  if (most == 0) return std::nullopt;
  std::int64_t nodes = (ranks + most - 1) / most;
  while (nodes <= shape.nodes && (ranks % nodes != 0 || ranks / nodes % needs.ranks_per_gpu != 0)) ++nodes;
  if (nodes > shape.nodes) return std::nullopt;
  const int share = static_cast<int>(ranks / nodes);
  return TaskLayout{static_cast<int>(nodes), share, share * needs.cpus_per_rank,
                    static_cast<int>(needs.gpus_of(share))};
}

void require_whole_gpus(const Resources& needs, const std::string& who, std::optional<SourcePlace> place) {
  if (needs.ranks % needs.ranks_per_gpu == 0) return;
  throw Error(
      ExitCode::config,
      who + " shares a GPU with other tasks (" + counted(needs.ranks, "rank") + " with " +
          gpus_of_a_rank(needs) + " each), and Slurm gives every step GPUs of its own",
      "give the task a multiple of " + std::to_string(needs.ranks_per_gpu) +
          " ranks; or, inside a job of one node, 'muster run FILE --gpus N' packs without Slurm's steps",
      std::move(place));
}

}  // namespace muster
