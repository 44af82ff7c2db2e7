#pragma once
/// Where a rank's network and batches live.

#include <c10/core/Device.h>

#include "runner/workload.hpp"

namespace muster::workloads {

/// The rank's GPU, or the CPU where it has none. Loads the CUDA half of LibTorch, which no plugin links, so
/// it comes before all else that a workload does with LibTorch. Lets cuDNN choose its algorithms by
/// measuring. Throws Error(resources) where LibTorch cannot use the GPU.
c10::Device compute_device(const Device& device);

}  // namespace muster::workloads
