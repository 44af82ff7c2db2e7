#pragma once
/// How kernels raise what a DeviceReport tells.

#include "workloads/common/compression/cuda/device_compression.hpp"
#include "workloads/common/cuda/launch.cuh"

namespace muster::workloads::device {

/// Every thread of a block must call this. Atomic, so that the order of blocks does not count.
__device__ inline void raise_largest(std::uint32_t mine, DeviceReport* report) {
  const std::uint32_t largest = __reduce_max_sync(kAll, mine);
  // Most warps find that another has raised it far enough, and spare the memory an atomic.
  if (lane_of_thread() == 0 && largest > *static_cast<volatile std::uint32_t*>(&report->largest))
    atomicMax(&report->largest, largest);
}

}  // namespace muster::workloads::device
