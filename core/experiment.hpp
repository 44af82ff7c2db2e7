#pragma once
/// The experiment file: TOML to checked structs.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/slurm_options.hpp"
#include "core/value.hpp"

namespace muster {

/// How ranks that have one GPU together share it; the words are those of NVIDIA's plugin for Kubernetes.
enum class GpuSharing {
  none,
  time_slicing,  ///< they take turns: what the driver does by itself
  mps            ///< they compute side by side: NVIDIA's Multi-Process Service
};

/// What one task is given. `[resources]` in the file.
struct Resources {
  int ranks = 1;
  int cpus_per_rank = 1;
  int gpus_per_rank = 0;       ///< that a rank sees: 1 where it shares one
  bool oversubscribe = false;  ///< more ranks than cores is allowed; ranks then yield when idle
  bool exclusive = false;      ///< nothing else runs beside this task
  int ranks_per_gpu = 1;       ///< 2 of `gpus_per_rank = 0.5`
  GpuSharing gpu_sharing = GpuSharing::none;  ///< none unless ranks_per_gpu is more than 1

  bool shares_gpus() const { return ranks_per_gpu > 1; }
  /// Whole GPUs that so many of its ranks take.
  std::int64_t gpus_of(std::int64_t number) const {
    return shares_gpus() ? (number + ranks_per_gpu - 1) / ranks_per_gpu : number * gpus_per_rank;
  }

  bool operator==(const Resources&) const = default;
};

/// How tasks are kept alive. `[policy]` in the file. Changes no result, so it is in no id.
struct Policy {
  double checkpoint_seconds = 60;     ///< save at least this often; 0: never by time
  std::int64_t checkpoint_steps = 0;  ///< save every so many steps; 0: never by steps
  int max_attempts = 3;               ///< failed attempts a task may have
  double kill_after_seconds = 30;     ///< from 'save and stop' to SIGKILL
};

/// An axis of the matrix: a parameter's dotted name, or "resources.NAME".
struct Axis {
  std::string key;
  std::vector<Value> values;
  SourcePlace place;
};

/// One cell: values by axis key.
using Cell = std::map<std::string, Value>;

/// `[matrix]`: the product of `grid`'s axes with the rows of `zip`; cells that match every key of an
/// `exclude` table are dropped; then each `include` table is one more cell. All of that is there for every
/// combination of `common`, but for included cells that say themselves what they have on such an axis.
struct Matrix {
  std::vector<Axis> common;  ///< of a stage: the axes that it has of the whole experiment
  std::vector<Axis> grid;    ///< in the file's order
  std::vector<Axis> zip;     ///< all of one length
  std::vector<Cell> include;
  std::vector<Cell> exclude;
  std::vector<SourcePlace> include_places;  ///< of each table, as many
  std::vector<SourcePlace> exclude_places;
};

/// What tasks of another stage leave in their artifacts: `{ from = "experts", file = "best.safetensors" }`.
struct Reference {
  std::string stage;
  std::string file;  ///< below artifacts/; empty: that folder itself
  /// Which of its tasks, on these axes; on others those that agree with the task that asks.
  std::map<std::string, std::vector<Value>> where;
  SourcePlace place;
  std::map<std::string, SourcePlace> where_places;
};

/// The value of a parameter that is made of artifacts.
struct References {
  std::vector<Reference> items;
  bool in_brackets = false;  ///< a list even where the workload's parameters have no types
};

/// One TOML file, checked for everything that can be checked without the workload's schema; or one stage of
/// it.
struct Experiment {
  std::filesystem::path file;
  std::string name;                  ///< [A-Za-z0-9._-]+; names its folder
  std::string stage;                 ///< empty: the file has none
  std::string workload;              ///< a built-in's name, "exec", or a path to a .so (relative to the file)
  std::vector<std::string> command;  ///< of `exec`
  Parameters parameters;             ///< as given, dotted
  std::map<std::string, References> references;  ///< by parameter; of a stage
  Resources resources;
  Policy policy;
  SlurmOptions slurm;  ///< as given, without the site's defaults. Changes no result, so it is in no id.
  Matrix matrix;
  /// Of every key, dotted from the root ("parameters.lr"), and of every element of a list that is not a value
  /// itself
  /// ("command[1]", "matrix.grid.lr[0]", "matrix.include[2].lr").
  std::map<std::string, SourcePlace> places;
  /// Each read as an experiment of its own, and behind those that it takes from. Then this experiment's
  /// parameters and grid are common: stages.hpp hands them out.
  std::vector<Experiment> stages;
};

/// Throws Error(config) with file:line:column: TOML syntax, unknown key (nearest known name), wrong type,
/// empty axis, zip axes of different length, a name that cannot be a folder's, stages that take from each
/// other in a circle.
Experiment read_experiment(const std::filesystem::path& file);

}  // namespace muster
