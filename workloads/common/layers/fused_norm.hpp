#pragma once
/// The fused path of batch normalisation, on CPUs and GPUs. See batch_norm.hpp.

#include <torch/torch.h>

#include "workloads/common/layers/batch_norm.hpp"

namespace muster::workloads {

/// Whether the fused path takes such an input.
bool fused_norm_takes(const torch::Tensor& input, AfterNorm after);

/// Training: normalises by the batch's statistics, updates the running ones, differentiable once.
torch::Tensor fused_norm(const torch::Tensor& input, const torch::Tensor& weight, const torch::Tensor& bias,
                         const torch::Tensor& running_mean, const torch::Tensor& running_var, AfterNorm after,
                         const torch::Tensor& skip, const BatchNormOptions& options = {});

/// Evaluation: by the running statistics; no gradient.
torch::Tensor fused_norm_evaluation(const torch::Tensor& input, const torch::Tensor& weight,
                                    const torch::Tensor& bias, const torch::Tensor& running_mean,
                                    const torch::Tensor& running_var, AfterNorm after,
                                    const torch::Tensor& skip, double epsilon = kNormEpsilon);

}  // namespace muster::workloads
