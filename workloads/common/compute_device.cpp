#include "workloads/common/compute_device.hpp"

#include <ATen/Context.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>

#include <string>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kCudaHalf = "libtorch_cuda.so";

std::string load_cuda_half() {
  if (c10::impl::hasDeviceGuardImpl(c10::kCUDA)) return "";
  // LibTorch's own lookups go through its registries, which the library fills when it is loaded.
  if (dlopen(kCudaHalf, RTLD_NOW | RTLD_GLOBAL) != nullptr) return "";
  const char* reason = dlerror();
  return reason != nullptr ? reason : "unknown reason";
}

}  // namespace

c10::Device compute_device(const Device& device) {
  if (device.kind == Device::Kind::cpu) return c10::kCPU;
  const std::string problem = load_cuda_half();
  if (!problem.empty()) {
    throw Error(ExitCode::resources, "this rank has a GPU, and its LibTorch has no CUDA: " + problem,
                "use a LibTorch with CUDA (./dev setup --cuda, docs/gpu.md), or leave "
                "resources.gpus_per_rank out to train on CPUs");
  }
  const int devices = c10::impl::hasDeviceGuardImpl(c10::kCUDA)
                          ? c10::impl::getDeviceGuardImpl(c10::kCUDA)->deviceCount()
                          : 0;
  if (device.index >= devices) {
    throw Error(
        ExitCode::resources,
        "this rank has GPU " + std::to_string(device.index) + " and LibTorch sees " + std::to_string(devices),
        "compare the driver's CUDA version (nvidia-smi) with LibTorch's: it must not be older");
  }
  if (!at::hasCUDA()) {
    throw Error(ExitCode::internal, "LibTorch looked for its CUDA half before that was loaded",
                "report this: compute_device must come before all else that a workload does with LibTorch");
  }
  at::globalContext().setBenchmarkCuDNN(true);
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(device.index)};
}

}  // namespace muster::workloads
