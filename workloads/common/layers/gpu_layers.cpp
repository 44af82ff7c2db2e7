#include "workloads/common/layers/gpu_layers.hpp"

#include <c10/core/impl/VirtualGuardImpl.h>

#include "core/error.hpp"
#include "workloads/common/cuda/load_kernels.hpp"

namespace muster::workloads {
namespace {

struct Loaded {
  const DeviceLayers* layers = nullptr;
  std::string problem;
};

const Loaded& loaded() {
  static const Loaded once = [] {
    Loaded result;
    try {
      result.layers = &load_device_layers(device_kernels_file());
    } catch (const Error& error) {
      result.problem = error.what();
    }
    return result;
  }();
  return once;
}

LayerElement element_of(const torch::Tensor& x) {
  switch (x.scalar_type()) {
    case torch::kFloat64:
      return LayerElement::f64;
    case torch::kBFloat16:
      return LayerElement::bf16;
    default:
      return LayerElement::f32;
  }
}

}  // namespace

const DeviceLayers* gpu_layers() { return loaded().layers; }

std::string problem_of_gpu_layers() { return loaded().problem; }

GpuCall::GpuCall(const torch::Tensor& x)
    : guard_(x.device()),
      call_{.stream = c10::impl::VirtualGuardImpl(x.device().type()).getStream(x.device()).native_handle(),
            .element = element_of(x),
            .images = x.size(0),
            .height = x.size(2),
            .width = x.size(3),
            .channels = x.size(1)} {}

}  // namespace muster::workloads
