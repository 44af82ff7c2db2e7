#pragma once
/// What each rank of a gang really computes on, and whether the gang may start with that: docs/binding.md.

#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "runner/device_plan.hpp"

namespace muster {

/// A GPU that a rank was given.
struct BoundGpu {
  std::string name;    ///< as CUDA_VISIBLE_DEVICES names it
  bool seen = false;   ///< the driver shows it; else it is only declared, and the rest is empty
  std::string model;   ///< "NVIDIA H200"
  std::string uuid;    ///< "GPU-..."
  std::string pci;     ///< "0000:17:00.0"
  int numa_node = -1;  ///< -1: unknown
};

/// One rank's report.
struct RankBinding {
  int rank = 0;
  std::string host;
  std::string boot_id;          ///< of the running kernel: hosts may have one name
  std::vector<int> cpus;        ///< that it may run on, ascending
  bool cpus_are_own = false;    ///< it was bound to them, and may share none with another rank
  std::vector<int> numa_nodes;  ///< of `cpus`
  int gpus_on_host = 0;         ///< that the driver shows to this rank; 0 where it was given none
  std::vector<BoundGpu> gpus;
  int ranks_per_gpu = 1;                      ///< that may have one of them together
  GpuSharing gpu_sharing = GpuSharing::none;  ///< and how
};

bool on_one_host(const RankBinding& a, const RankBinding& b);

/// This rank's, once the plan is applied. Throws nothing for what cannot be found out: it is left empty.
RankBinding own_binding(int rank, const DevicePlan& plan, const Resources& resources);

struct BindingVerdict {
  std::optional<Error> refusal;  ///< Error(resources)
  std::vector<std::string> warnings;
};

/// Refuses a GPU that is not there on a host that has others, more ranks on one GPU than were asked for, and
/// CPUs of two ranks that were to have their own; warns where a rank's CPUs lie on another NUMA node than its
/// GPU. Pure. `ranks`: of the whole gang, in order.
BindingVerdict judge_binding(const std::vector<RankBinding>& ranks);

/// "binding: 4 ranks on 2 hosts, 8 CPUs, 4 GPUs"; ", 2 GPUs for up to 2 ranks each (mps)".
std::string binding_summary(const std::vector<RankBinding>& ranks);

/// Whether GPUs were handed out that no driver shows, on any rank: a rehearsal on a machine without them.
bool has_unseen_gpus(const std::vector<RankBinding>& ranks);

std::string rank_binding_to_json(const RankBinding& rank);
RankBinding rank_binding_from_json(const std::string& text);
/// What binding.json holds.
std::string binding_to_json(const std::vector<RankBinding>& ranks, const BindingVerdict& verdict);

}  // namespace muster
