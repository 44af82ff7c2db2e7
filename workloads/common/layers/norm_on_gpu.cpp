#include "workloads/common/layers/elements.hpp"
#include "workloads/common/layers/gpu_layers.hpp"
#include "workloads/common/layers/norm_arithmetic.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

class OnGpu final : public NormArithmetic {
 public:
  explicit OnGpu(const DeviceLayers& layers) : layers_(layers) {}

  BatchMoments of_batch(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                        const Tensor& running_var, const BatchNormOptions& options) const override {
    const GpuCall call(x);
    const Tensor scratch = scratch_for(x, *call);
    const BatchMoments batch{torch::empty({2, x.size(1)}, weight.options().dtype(torch::kFloat64)),
                             torch::empty({2, x.size(1)}, weight.options())};
    layers_.norm_statistics(read<void>(x),
                            {.weight = read<void>(weight),
                             .bias = read<void>(bias),
                             .running_mean = write<void>(running_mean),
                             .running_var = write<void>(running_var),
                             .epsilon = options.epsilon,
                             .momentum = options.momentum},
                            write<double>(batch.moments), write<void>(batch.map), write<void>(scratch),
                            *call);
    return batch;
  }

  Tensor apply(const Tensor& x, const Tensor& skip, const Tensor& map, AfterNorm after) const override {
    const GpuCall call(x);
    const Tensor y = empty_result(x, after);
    layers_.norm_apply(read<void>(x), read<void>(skip), read<void>(map), after, write<void>(y), *call);
    return y;
  }

  NormGradients gradients(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& weight,
                          const BatchMoments& batch, AfterNorm after) const override {
    const GpuCall call(x);
    const Tensor scratch = scratch_for(x, *call);
    const NormGradients result{.x = torch::empty_like(x),
                               .weight = torch::empty_like(weight),
                               .bias = torch::empty_like(weight),
                               .skip = y.defined() ? torch::empty_like(x) : Tensor()};
    layers_.norm_backward(read<void>(x), read<void>(y), read<void>(dy), read<void>(weight),
                          read<double>(batch.moments), read<void>(batch.map), after,
                          {.x = write<void>(result.x),
                           .skip = write<void>(result.skip),
                           .weight = write<void>(result.weight),
                           .bias = write<void>(result.bias)},
                          write<void>(scratch), *call);
    return result;
  }

 private:
  /// LibTorch gives it away again behind what is on the stream by then.
  Tensor scratch_for(const Tensor& x, const DeviceLayerCall& call) const {
    return torch::empty({static_cast<std::int64_t>(layers_.norm_scratch_bytes(call))},
                        torch::TensorOptions(torch::kUInt8).device(x.device()));
  }

  const DeviceLayers& layers_;
};

}  // namespace

const NormArithmetic* norm_on_gpu() {
  if (gpu_layers() == nullptr) return nullptr;
  static const OnGpu only(*gpu_layers());
  return &only;
}

}  // namespace muster::workloads
