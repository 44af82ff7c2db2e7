#pragma once
/// What a site's Slurm can do. Probed once a run and kept in it as slurm.json.

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace muster {

struct SlurmVersion {
  int major = 0;  ///< 22 of 22.05.8
  int minor = 0;  ///< 5 of 22.05.8
  std::string text;
  int micro = 0;  ///< 8 of 22.05.8

  auto as_pair() const { return std::pair(major, minor); }
  bool at_least(int of_major, int of_minor) const { return as_pair() >= std::pair(of_major, of_minor); }
};

struct SlurmGpuType {
  std::string type;  ///< "a100"; empty where the site names none
  int per_node = 0;  ///< the most that one node has
  int nodes = 0;     ///< that have any

  bool operator==(const SlurmGpuType&) const = default;
};

struct SlurmPartition {
  std::string name;
  bool is_default = false;
  bool is_up = true;
  std::optional<std::int64_t> max_seconds;      ///< none: unlimited
  std::optional<std::int64_t> default_seconds;  ///< none: max_seconds
  int nodes = 0;
  std::optional<int> max_nodes;      ///< of one job; none: all
  int cpus_per_node = 0;             ///< of its largest node
  std::int64_t memory_per_node = 0;  ///< MiB, of its largest node
  std::vector<SlurmGpuType> gpus;    ///< the most a node has of each type
};

struct SlurmCapabilities {
  SlurmVersion version;
  std::string cluster;
  std::vector<std::string> mpi;  ///< of `srun --mpi=list`
  std::string select_type;       ///< "select/cons_tres"
  std::string task_plugin;       ///< "task/affinity,task/cgroup"
  bool accounting = false;       ///< `sacct` answers
  bool requeue = true;           ///< JobRequeue
  int max_array_size = 1001;     ///< an array's largest index is one less
  int max_job_count = 10000;
  int max_step_count = 40000;
  int kill_wait_seconds = 30;
  std::vector<SlurmPartition> partitions;

  bool has_pmix() const;
  /// Steps of a job share its nodes only under cons_res or cons_tres.
  bool packs_steps() const;
  /// srun binds a step's ranks to CPUs.
  bool binds_cpus() const;
  const SlurmPartition* default_partition() const;                 ///< nullptr where there is none
  const SlurmPartition* partition(const std::string& name) const;  ///< nullptr where there is none
};

/// Asks `scontrol`, `srun`, `sinfo` and `sacct`. Throws Error(config) where there is no Slurm here, and
/// Error(resources), in Slurm's words, where its controller does not answer.
SlurmCapabilities probe_slurm();

/// Pure parts of the probe: the text of the commands as Slurm prints it. What is not there keeps its default.
SlurmVersion parse_slurm_version(const std::string& text);                          // srun --version
std::vector<std::string> parse_mpi_list(const std::string& text);                   // srun --mpi=list
void parse_slurm_config(const std::string& text, SlurmCapabilities& capabilities);  // scontrol show config
std::vector<SlurmPartition> parse_partitions(
    const std::string& partitions_text,  // scontrol -o show partition
    const std::string& nodes_text);      // scontrol -o show node

std::string capabilities_to_json(const SlurmCapabilities& capabilities);
SlurmCapabilities capabilities_from_json(const std::string& text);  ///< throws Error(storage)

}  // namespace muster
