#include "workloads/common/layers/batch_norm.hpp"

#include "workloads/common/layers/fused_norm.hpp"

namespace muster::workloads {

BatchNormImpl::BatchNormImpl(std::int64_t channels, BatchNormFunction function)
    : function_(std::move(function)) {
  weight = register_parameter("weight", torch::ones({channels}));
  bias = register_parameter("bias", torch::zeros({channels}));
  running_mean = register_buffer("running_mean", torch::zeros({channels}));
  running_var = register_buffer("running_var", torch::ones({channels}));
}

torch::Tensor BatchNormImpl::forward(const torch::Tensor& input, AfterNorm after, const torch::Tensor& skip) {
  const bool replaced = is_training() && function_;
  const bool fused =
      fused_norm_takes(input, after) &&
      weight.scalar_type() == (input.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32);
  if (replaced || !fused) return composed(input, after, skip);
  if (is_training()) return fused_norm(input, weight, bias, running_mean, running_var, after, skip);
  if (torch::GradMode::is_enabled()) return composed(input, after, skip);
  return fused_norm_evaluation(input, weight, bias, running_mean, running_var, after, skip);
}

torch::Tensor BatchNormImpl::composed(const torch::Tensor& input, AfterNorm after,
                                      const torch::Tensor& skip) {
  auto output = is_training() && function_
                    ? function_(input, weight, bias, running_mean, running_var)
                    : torch::batch_norm(input, weight, bias, running_mean, running_var, is_training(),
                                        kNormMomentum, kNormEpsilon, /*cudnn_enabled=*/true);
  if (skip.defined()) output = output + skip;
  if (after != AfterNorm::nothing) output = torch::relu(output);
  if (after == AfterNorm::relu_pool) output = torch::max_pool2d(output, 2);
  return output;
}

}  // namespace muster::workloads
