#pragma once
/// Layers' kernels, called with tensors of a GPU.

#include <c10/core/DeviceGuard.h>
#include <torch/torch.h>

#include <string>

#include "workloads/common/layers/cuda/device_layers.hpp"

namespace muster::workloads {

/// Null where they cannot be loaded.
const DeviceLayers* gpu_layers();
/// Why they cannot; empty where they can.
std::string problem_of_gpu_layers();

/// x's GPU, its current stream, and x's type and shape [n, c, h, w].
class GpuCall {
 public:
  explicit GpuCall(const torch::Tensor& x);
  const DeviceLayerCall& operator*() const { return call_; }

 private:
  c10::DeviceGuard guard_;
  DeviceLayerCall call_;
};

}  // namespace muster::workloads
