#include "workloads/common/layers/batch_norm.hpp"

#include "workloads/common/layers/fused_norm.hpp"
#include "workloads/common/layers/gelu.hpp"
#include "workloads/common/layers/max_pool.hpp"

namespace muster::workloads {

BatchNormImpl::BatchNormImpl(std::int64_t channels, BatchNormFunction function,
                             const BatchNormOptions& options)
    : function_(std::move(function)), options_(options) {
  if (options.scale) weight = register_parameter("weight", torch::ones({channels}));
  bias = register_parameter("bias", torch::zeros({channels}));
  running_mean = register_buffer("running_mean", torch::zeros({channels}));
  running_var = register_buffer("running_var", torch::ones({channels}));
}

torch::Tensor BatchNormImpl::forward(const torch::Tensor& input, AfterNorm after, const torch::Tensor& skip) {
  // The loops for CPUs have none in them.
  if (after == AfterNorm::gelu && input.is_cpu()) return exact_gelu(forward(input, AfterNorm::nothing));
  const torch::Tensor scale = weight.defined() ? weight : torch::ones_like(bias);
  const bool replaced = is_training() && function_;
  const bool fused =
      fused_norm_takes(input, after) &&
      bias.scalar_type() == (input.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32);
  if (replaced || !fused) return composed(input, scale, after, skip);
  if (is_training()) return fused_norm(input, scale, bias, running_mean, running_var, after, skip, options_);
  if (torch::GradMode::is_enabled()) return composed(input, scale, after, skip);
  return fused_norm_evaluation(input, scale, bias, running_mean, running_var, after, skip, options_.epsilon);
}

torch::Tensor BatchNormImpl::composed(const torch::Tensor& input, const torch::Tensor& scale, AfterNorm after,
                                      const torch::Tensor& skip) {
  auto output = is_training() && function_
                    ? function_(input, scale, bias, running_mean, running_var, options_)
                    : torch::batch_norm(input, scale, bias, running_mean, running_var, is_training(),
                                        options_.momentum, options_.epsilon, /*cudnn_enabled=*/true);
  if (skip.defined()) output = output + skip;
  if (after == AfterNorm::nothing) return output;
  if (after == AfterNorm::gelu) return exact_gelu(output);
  output = torch::relu(output);
  return after == AfterNorm::relu_pool ? max_pool_2x2(output) : output;
}

}  // namespace muster::workloads
