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
  /// Axis values joined by '-', fit for a folder's name ("ring-ranks2-seed0"), behind the stage's name where
  /// there is one; without axes the stage's, else the workload's name.
  std::string label;
  std::string workload;
  std::filesystem::path plugin;      ///< the .so; empty for `exec`
  std::vector<std::string> command;  ///< of `exec`, with {placeholders}
  Parameters parameters;             ///< resolved: every parameter of the schema
  Cell cell;                         ///< this task's axis values
  Resources resources;
  Policy policy;
  std::string stage;               ///< empty: the experiment has none
  std::vector<std::string> needs;  ///< folder names of the tasks that must be done before, each once

  /// "LABEL-ID": the task's folder.
  std::string folder_name() const { return label + "-" + id; }
  std::uint64_t seed() const;
};

/// All tasks of an experiment in matrix order, stage by stage. `workloads`: of each stage; without stages the
/// one. A parameter that takes from another stage becomes an absolute path, or a list of them. Reads data-set
/// digests (cached below `runs_root` by size and mtime); a path to a data set is made absolute, from the
/// current folder. A task whose id has a folder in `runs_root` takes that folder's label, so that a new axis
/// does not orphan what is done. Throws Error(config) as resolve_parameters does, for a placeholder without
/// parameter, for two cells that are one task, and for a parameter that finds no task in the stage that it
/// takes from, or more than it takes; Error(data) where a data set is missing.
std::vector<Task> make_tasks(const Experiment& experiment, const std::vector<FoundWorkload>& workloads,
                             const std::filesystem::path& runs_root);

/// Of an experiment without stages.
std::vector<Task> make_tasks(const Experiment& experiment, const WorkloadSchema& schema,
                             const std::filesystem::path& plugin, const std::filesystem::path& runs_root);

/// What of a task's parameters does not count by its value, by parameter name.
struct ContentOfParameters {
  std::map<std::string, std::string> data;  ///< digests
  std::map<std::string, Value> needed;      ///< ids of needed tasks, with files' names, in place of paths
};

/// The id alone: a hash over canonical values, result_version, data and what is needed; see docs/identity.md.
std::string task_id(const Task& task, const WorkloadSchema& schema, const ContentOfParameters& content);

/// task.toml: what the launcher tells the runner. Written aside and renamed.
void write_task(const Task& task, const std::filesystem::path& file);
Task read_task(const std::filesystem::path& file);

}  // namespace muster
