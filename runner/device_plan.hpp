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

/// What the launcher says in the environment; nullptr where it says nothing.
struct GivenDevices {
  const char* cpu_lists = nullptr;     ///< MUSTER_CPUS, a CPU list a rank: "0-1,4;2-3"
  const char* gpu_lists = nullptr;     ///< MUSTER_GPUS, of ranks that share them: "0;0;1"
  const char* cuda_devices = nullptr;  ///< CUDA_VISIBLE_DEVICES of the task
};
GivenDevices given_devices();

/// Ranks that share GPUs and have no list fill those of their task one after the other. Throws
/// Error(resources) where nothing is there for this rank.
DevicePlan plan_device(const Resources& resources, int host_rank, const GivenDevices& given);

/// Binds this process, before it has threads, and narrows CUDA_VISIBLE_DEVICES. Throws Error(resources) where
/// a CPU may not be used.
void apply(const DevicePlan& plan);

}  // namespace muster
