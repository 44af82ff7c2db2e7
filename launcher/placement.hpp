#pragma once
/// CPUs and GPUs: what there is on each host, and what of it a task is given.

#include <string>
#include <vector>

namespace muster {

/// What an allocation has on one host.
struct Slots {
  std::vector<int> cpus;          ///< kernel numbers
  std::vector<std::string> gpus;  ///< as CUDA_VISIBLE_DEVICES names them
  std::string host;               ///< empty: this one, and there is no other

  bool operator==(const Slots&) const = default;
};

/// Of a host whose CPUs and GPUs Slurm will number: 0, 1, ...
Slots numbered_slots(const std::string& host, int cpus, int gpus);

/// What one rank is given.
struct RankPlace {
  std::string host;
  std::vector<int> cpus;          ///< shared with other ranks of the task only where oversubscribed
  std::vector<std::string> gpus;  ///< shared with other ranks only where their tasks ask for it

  bool operator==(const RankPlace&) const = default;
};

/// What one task is given.
struct Assignment {
  std::vector<RankPlace> ranks;

  /// Each once, in the order of ranks.
  std::vector<std::string> hosts() const;
  /// All CPUs, ascending, each once; of tasks on one host.
  std::vector<int> cpus() const;
  /// Each of a host's once, in the order of ranks.
  std::vector<std::string> gpus() const;
  bool operator==(const Assignment&) const = default;
};

}  // namespace muster
