#include "workloads/common/gradient_norm.hpp"

#include <cmath>
#include <numeric>

namespace muster::workloads {

double gradient_norm(const std::vector<torch::Tensor>& parameters) {
  const torch::NoGradGuard no_grad;
  std::vector<torch::Tensor> squares;
  for (const torch::Tensor& parameter : parameters) {
    const torch::Tensor& gradient = parameter.grad();
    if (gradient.defined()) squares.push_back(gradient.to(torch::kFloat64).square().sum());
  }
  if (squares.empty()) return 0;
  // Together: a GPU is waited for once.
  const torch::Tensor all = torch::stack(squares).cpu();
  const auto* value = all.const_data_ptr<double>();
  return std::sqrt(std::accumulate(value, value + all.numel(), 0.0));
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
