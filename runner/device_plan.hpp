#pragma once
/// Which CPUs and GPUs of its task a rank uses.

#include <optional>
#include <string>
#include <vector>

#include "core/experiment.hpp"
#include "runner/workload.hpp"

namespace muster {

/// A rank's place as the program that started it tells in the environment, known before MPI starts.
struct LaunchPlace {
  int host_rank = 0;  ///< among this task's ranks on this host
};
/// From Open MPI, Slurm, MPICH or Intel MPI; a single process is rank 0.
LaunchPlace launch_place();

/// What a rank computes on.
struct DevicePlan {
  std::vector<int> cpus;                            ///< empty: as the system bound it
  std::optional<std::string> cuda_visible_devices;  ///< what this rank's variable must become
  Device device;
};

/// `cpu_lists`: MUSTER_CPUS, a CPU list a rank ("0-1,4;2-3"), or nullptr. `cuda_devices`:
/// CUDA_VISIBLE_DEVICES of the task, or nullptr. Throws Error(resources) where they hold nothing for this
/// rank.
DevicePlan plan_device(const Resources& resources, int host_rank, const char* cpu_lists,
                       const char* cuda_devices);

/// Binds this process, before it has threads, and narrows CUDA_VISIBLE_DEVICES. Throws Error(resources) where
/// a CPU may not be used.
void apply(const DevicePlan& plan);

}  // namespace muster
