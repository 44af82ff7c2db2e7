#include "workloads/common/gradient_norm.hpp"

#include <cmath>

namespace muster::workloads {

double gradient_norm(const std::vector<torch::Tensor>& parameters) {
  const torch::NoGradGuard no_grad;
  double squares = 0;
  for (const torch::Tensor& parameter : parameters) {
    const torch::Tensor& gradient = parameter.grad();
    if (gradient.defined()) squares += gradient.to(torch::kFloat64).square().sum().item<double>();
  }
  return std::sqrt(squares);
}

ClippedNorm clip_gradients(const std::vector<torch::Tensor>& parameters, double limit) {
  const torch::NoGradGuard no_grad;
  const double before = gradient_norm(parameters);
  if (!(limit > 0) || !std::isfinite(before) || before <= limit) return {before, before};
  for (const torch::Tensor& parameter : parameters) {
    torch::Tensor gradient = parameter.grad();
    if (gradient.defined()) gradient.mul_(limit / before);
  }
  return {before, gradient_norm(parameters)};
}

}  // namespace muster::workloads
