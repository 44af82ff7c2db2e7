#pragma once
/// A task: one cell of the matrix, resolved. Its id is its content.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "core/workload_schema.hpp"

namespace muster {

struct Task {
  std::string id;  ///< 8 hex digits or more of the hash of everything that can change its result
  std::string
      label;  ///< axis values joined by '-', fit for a folder's name; the workload's name without axes
  std::string workload;
  std::filesystem::path plugin;      ///< the .so; empty for `exec`
  std::vector<std::string> command;  ///< of `exec`, with {placeholders}
  Parameters parameters;             ///< resolved: every parameter of the schema
  Cell cell;                         ///< this task's axis values
  Resources resources;
  Policy policy;

  /// "LABEL-ID": the task's folder.
  std::string folder_name() const { return label + "-" + id; }
  std::uint64_t seed() const;
};

/// All tasks of an experiment in matrix order. Reads data-set digests (cached beside the runs by size and
/// mtime). Throws Error(config) as resolve_parameters does, and Error(data) where a data set is missing.
std::vector<Task> make_tasks(const Experiment& experiment, const WorkloadSchema& schema,
                             const std::filesystem::path& plugin, const std::filesystem::path& runs_root);

/// The id alone: a hash over canonical values, result_version and data digests; see docs/identity.md.
std::string task_id(const Task& task, const WorkloadSchema& schema,
                    const std::map<std::string, std::string>& digests);

/// task.toml: what the launcher tells the runner. Written aside and renamed.
void write_task(const Task& task, const std::filesystem::path& file);
Task read_task(const std::filesystem::path& file);

}  // namespace muster
