#pragma once
/// What the fused batch normalisation computes, where the images are. See batch_norm.hpp.

#include <torch/torch.h>

#include "workloads/common/layers/batch_norm.hpp"

namespace muster::workloads {

/// A batch's statistics, and what they make of it.
struct BatchMoments {
  torch::Tensor moments;  ///< fp64 [2, channels]: mean, and one over the standard deviation
  torch::Tensor map;      ///< [2, channels], of the parameters' type: scale and shift
};

struct NormGradients {
  torch::Tensor x, weight, bias;
  torch::Tensor skip;  ///< undefined without one
};

/// Images are channels-last, `skip` and `y` undefined where there was no skip.
class NormArithmetic {
 public:
  virtual ~NormArithmetic() = default;
  /// Moves the running statistics.
  virtual BatchMoments of_batch(const torch::Tensor& x, const torch::Tensor& weight,
                                const torch::Tensor& bias, const torch::Tensor& running_mean,
                                const torch::Tensor& running_var, const BatchNormOptions& options) const = 0;
  /// What follows x * scale + shift.
  virtual torch::Tensor apply(const torch::Tensor& x, const torch::Tensor& skip, const torch::Tensor& map,
                              AfterNorm after) const = 0;
  virtual NormGradients gradients(const torch::Tensor& x, const torch::Tensor& y, const torch::Tensor& dy,
                                  const torch::Tensor& weight, const BatchMoments& batch,
                                  AfterNorm after) const = 0;
};

const NormArithmetic& norm_on_cpu();
/// Null without gpu_layers().
const NormArithmetic* norm_on_gpu();

/// An image batch's result of half its height and width with relu_pool, else of x's shape.
torch::Tensor empty_result(const torch::Tensor& x, AfterNorm after);

}  // namespace muster::workloads
