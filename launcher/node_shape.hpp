#pragma once
/// A partition's nodes as tasks see them, and how a task lies on them. Pure.

#include <optional>
#include <string>

#include "core/experiment.hpp"
#include "core/slurm_options.hpp"
#include "slurm/capabilities.hpp"

namespace muster {

/// The largest node of a partition, as if there were no others.
struct NodeShape {
  std::string partition;
  int nodes = 0;  ///< that one job may have
  int cpus = 0;
  int gpus = 0;  ///< of the type that is asked for

  bool operator==(const NodeShape&) const = default;
};

/// Of the partition that `options` names (the first that Slurm knows of several), else the default one.
/// nullopt where Slurm knows none.
std::optional<NodeShape> shape_of(const SlurmCapabilities& capabilities, const SlurmOptions& options);

/// Whole ranks on as few nodes as hold the task with the same number on each.
struct TaskLayout {
  int nodes = 1;
  int ranks_per_node = 1;
  int cpus_per_node = 1;
  int gpus_per_node = 0;

  bool operator==(const TaskLayout&) const = default;
};

/// nullopt where the partition has no room for it. Ranks that share GPUs fill whole ones on each node.
std::optional<TaskLayout> lay_out(const Resources& needs, const NodeShape& shape);

/// Throws Error(config) for a task whose ranks leave a part of a GPU to other tasks. `who`: "task-3".
void require_whole_gpus(const Resources& needs, const std::string& who,
                        std::optional<SourcePlace> place = std::nullopt);

}  // namespace muster
