#include <cuda_runtime.h>

#include <algorithm>
#include <string>

#include "core/error.hpp"
#include "workloads/common/compression/cuda/kernels.hpp"
#include "workloads/common/layers/cuda/layer_kernels.hpp"

namespace muster::workloads {
namespace {

void require(cudaError_t code) {
  if (code == cudaSuccess) return;
  if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorUnsupportedPtxVersion)
    throw Error(ExitCode::resources,
                std::string("this GPU cannot run muster_cuda_kernels.so: ") + cudaGetErrorString(code),
                "they are built for sm_80, sm_90 and later: use such a GPU, or a newer driver");
  throw Error(ExitCode::internal, std::string("kernels were not started: CUDA: ") + cudaGetErrorString(code),
              "an earlier call on this GPU may have failed: CUDA_LAUNCH_BLOCKING=1 finds it");
}

/// The same function, with an Error instead of CUDA's code.
template <auto kLaunch>
struct Checked;
template <class... Parameters, cudaError_t (*kLaunch)(Parameters...)>
struct Checked<kLaunch> {
  static void call(Parameters... parameters) { require(kLaunch(parameters...)); }
};

std::size_t scratch_bytes(std::int64_t count) {
  return std::max(device::selection_scratch_bytes(count), device::scale_scratch_bytes(count));
}

}  // namespace
}  // namespace muster::workloads

extern "C" __attribute__((visibility("default"))) const muster::workloads::DeviceCompression*
muster_device_compression() {
  using namespace muster::workloads;
  static const DeviceCompression table{.scratch_bytes = scratch_bytes,
                                       .inspect = Checked<device::inspect>::call,
                                       .threshold = Checked<device::threshold>::call,
                                       .largest_k = Checked<device::largest_k>::call,
                                       .choose = Checked<device::choose>::call,
                                       .gather = Checked<device::gather>::call,
                                       .scatter_add = Checked<device::scatter_add>::call,
                                       .ternary_scale = Checked<device::ternary_scale>::call,
                                       .norms = Checked<device::norms>::call,
                                       .quantise = Checked<device::quantise>::call,
                                       .dequantise_add = Checked<device::dequantise_add>::call,
                                       .to_half = Checked<device::to_half>::call,
                                       .to_bf16 = Checked<device::to_bf16>::call,
                                       .add_half = Checked<device::add_half>::call,
                                       .add_bf16 = Checked<device::add_bf16>::call};
  return &table;
}

extern "C" __attribute__((visibility("default"))) const muster::workloads::DeviceLayers*
muster_device_layers() {
  using namespace muster::workloads;
  static const DeviceLayers table{.norm_scratch_bytes = device::norm_scratch_bytes,
                                  .norm_statistics = Checked<device::norm_statistics>::call,
                                  .norm_apply = Checked<device::norm_apply>::call,
                                  .norm_backward = Checked<device::norm_backward>::call,
                                  .max_pool = Checked<device::max_pool>::call,
                                  .max_pool_backward = Checked<device::max_pool_backward>::call,
                                  .make_batch = Checked<device::make_batch>::call};
  return &table;
}
