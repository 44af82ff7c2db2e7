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
  std::string id;  ///< 12 hex digits of the hash of everything that can change its result
  /// Axis values joined by '-', fit for a folder's name ("ring-ranks2-seed0"); the workload's name without
  /// axes.
  std::string label;
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

/// All tasks of an experiment in matrix order. Reads data-set digests (cached below `runs_root` by size and
/// mtime); a path to a data set is made absolute, from the current folder. A task whose id has a folder in
/// `runs_root` takes that folder's label, so that a new axis does not orphan what is done. Throws
/// Error(config) as resolve_parameters does, for a placeholder without parameter and for two cells that are
/// one task; Error(data) where a data set is missing.
std::vector<Task> make_tasks(const Experiment& experiment, const WorkloadSchema& schema,
                             const std::filesystem::path& plugin, const std::filesystem::path& runs_root);

/// The id alone: a hash over canonical values, result_version and data digests (by parameter name); see
/// docs/identity.md.
std::string task_id(const Task& task, const WorkloadSchema& schema,
                    const std::map<std::string, std::string>& digests);

/// task.toml: what the launcher tells the runner. Written aside and renamed.
void write_task(const Task& task, const std::filesystem::path& file);
Task read_task(const std::filesystem::path& file);

}  // namespace muster
