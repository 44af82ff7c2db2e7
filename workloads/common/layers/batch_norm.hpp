#pragma once
/// Batch normalisation (Ioffe and Szegedy 2015), fused with what follows it.

#include <torch/torch.h>

#include <functional>

#include "workloads/common/layers/after_norm.hpp"

namespace muster::workloads {

inline constexpr double kNormEpsilon = 1e-5;
inline constexpr double kNormMomentum = 0.1;

struct BatchNormOptions {
  bool scale = true;  ///< learn `weight`; false: there is none, as if it stayed at one
  double epsilon = kNormEpsilon;
  double momentum = kNormMomentum;  ///< share of the running statistics that a batch replaces
};

/// Replaces local batch normalisation in training, by a synchronised one, say: (input, weight, bias, running
/// mean, running variance, options) to the normalised input; it updates the running statistics and is
/// differentiable. Empty: local.
using BatchNormFunction =
    std::function<torch::Tensor(const torch::Tensor&, const torch::Tensor&, const torch::Tensor&,
                                const torch::Tensor&, const torch::Tensor&, const BatchNormOptions&)>;

/// A batch-normalisation layer: `weight`, `bias`, `running_mean`, `running_var`, as PyTorch's. The statistics
/// stay fp32 (or fp64) where images are bfloat16. Channels-last, in one pass over memory for the statistics
/// and one for the rest, in either direction, by loops for CPUs and kernels for GPUs; a GPU without them, or
/// with images in another order, has ATen's operators. The order of every sum is fixed, whatever the threads.
class BatchNormImpl : public torch::nn::Module {
 public:
  explicit BatchNormImpl(std::int64_t channels, BatchNormFunction function = {},
                         const BatchNormOptions& options = {});

  /// `skip`, of the input's shape, is added before the ReLU (with relu alone).
  torch::Tensor forward(const torch::Tensor& input, AfterNorm after, const torch::Tensor& skip = {});

  const BatchNormOptions& options() const { return options_; }

  torch::Tensor weight;  ///< undefined without scale
  torch::Tensor bias, running_mean, running_var;

 private:
  torch::Tensor composed(const torch::Tensor& input, const torch::Tensor& scale, AfterNorm after,
                         const torch::Tensor& skip);

  BatchNormFunction function_;
  BatchNormOptions options_;
};
TORCH_MODULE(BatchNorm);

}  // namespace muster::workloads
