#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "core/error.hpp"
#include "workloads/common/cuda/load_kernels.hpp"
#include "workloads/common/layers/norm_arithmetic.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

NormElement element_of(const Tensor& x) {
  switch (x.scalar_type()) {
    case torch::kFloat64:
      return NormElement::f64;
    case torch::kBFloat16:
      return NormElement::bf16;
    default:
      return NormElement::f32;
  }
}

const void* read(const Tensor& tensor) { return tensor.defined() ? tensor.const_data_ptr() : nullptr; }
void* write(const Tensor& tensor) { return tensor.defined() ? tensor.mutable_data_ptr() : nullptr; }

class OnGpu final : public NormArithmetic {
 public:
  explicit OnGpu(const DeviceNorm& kernels) : kernels_(kernels) {}

  BatchMoments of_batch(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                        const Tensor& running_var, const BatchNormOptions& options) const override {
    const Call call(*this, x, AfterNorm::nothing, true);
    const std::int64_t channels = x.size(1);
    const BatchMoments batch{torch::empty({2, channels}, x.options().dtype(torch::kFloat64)),
                             torch::empty({2, channels}, weight.options())};
    kernels_.statistics(read(x),
                        {.weight = read(weight),
                         .bias = read(bias),
                         .running_mean = write(running_mean),
                         .running_var = write(running_var),
                         .epsilon = options.epsilon,
                         .momentum = options.momentum},
                        batch.moments.mutable_data_ptr<double>(), write(batch.map), call.call);
    return batch;
  }

  Tensor apply(const Tensor& x, const Tensor& skip, const Tensor& map, AfterNorm after) const override {
    const Call call(*this, x, after, false);
    const Tensor y = empty_result(x, after);
    kernels_.apply(read(x), read(skip), read(map), write(y), call.call);
    return y;
  }

  NormGradients gradients(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& weight,
                          const BatchMoments& batch, AfterNorm after) const override {
    const Call call(*this, x, after, true);
    const NormGradients result{.x = torch::empty_like(x),
                               .weight = torch::empty_like(weight),
                               .bias = torch::empty_like(weight),
                               .skip = y.defined() ? torch::empty_like(x) : Tensor()};
    kernels_.backward(read(x), read(y), read(dy), read(weight), batch.moments.const_data_ptr<double>(),
                      read(batch.map),
                      {.x = write(result.x),
                       .skip = write(result.skip),
                       .weight = write(result.weight),
                       .bias = write(result.bias)},
                      call.call);
    return result;
  }

 private:
  /// The GPU's turn: its stream, and memory that goes back behind what was put there.
  struct Call {
    Call(const OnGpu& gpu, const Tensor& x, AfterNorm after, bool with_scratch) : guard(x.device()) {
      call = {.stream = c10::impl::VirtualGuardImpl(x.device().type()).getStream(x.device()).native_handle(),
              .element = element_of(x),
              .after = after,
              .images = x.size(0),
              .height = x.size(2),
              .width = x.size(3),
              .channels = x.size(1)};
      if (!with_scratch) return;
      scratch = torch::empty({static_cast<std::int64_t>(gpu.kernels_.scratch_bytes(call))},
                             x.options().dtype(torch::kUInt8).memory_format(std::nullopt));
      call.scratch = write(scratch);
    }
    c10::DeviceGuard guard;
    Tensor scratch;
    DeviceNormCall call;
  };

  const DeviceNorm& kernels_;
};

struct Loaded {
  std::unique_ptr<NormArithmetic> arithmetic;
  std::string problem;
};

const Loaded& loaded() {
  static const Loaded once = [] {
    Loaded result;
    try {
      result.arithmetic = std::make_unique<OnGpu>(load_device_norm(device_kernels_file()));
    } catch (const Error& error) {
      result.problem = error.what();
    }
    return result;
  }();
  return once;
}

}  // namespace

const NormArithmetic* norm_on_gpu() { return loaded().arithmetic.get(); }

std::string problem_of_norm_on_gpu() { return loaded().problem; }

}  // namespace muster::workloads
