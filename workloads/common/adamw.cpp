#include "workloads/common/adamw.hpp"

#include <cmath>

#include "core/error.hpp"

namespace muster::workloads {

AdamW::AdamW(NamedTensors parameters, const AdamWOptions& options)
    : Optimiser(std::move(parameters)), options_(options) {
  const auto is_beta = [](double beta) { return beta >= 0 && beta < 1; };
  if (!is_beta(options.beta1) || !is_beta(options.beta2) || !(options.epsilon >= 0) ||
      !(options.weight_decay >= 0)) {
    throw Error(ExitCode::config, "AdamW: no number may be negative, and betas must be below 1",
                "the usual choice is beta1 = 0.9, beta2 = 0.999");
  }
  for (const char* prefix : {"momentum.", "variance."}) {
    for (const auto& [name, parameter] : parameters_)
      state_.emplace_back(prefix + name, torch::zeros_like(parameter));
  }
}

void AdamW::step(double rate) {
  const torch::NoGradGuard no_grad;
  const auto steps = static_cast<double>(++steps_);
  const double step_size = rate / (1 - std::pow(options_.beta1, steps));
  const double root_of_correction = std::sqrt(1 - std::pow(options_.beta2, steps));
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    torch::Tensor parameter = parameters_[i].second;
    const torch::Tensor& gradient = parameter.grad();
    if (!gradient.defined()) continue;
    torch::Tensor mean = state_[i].second;
    torch::Tensor square = state_[parameters_.size() + i].second;
    parameter.mul_(1 - rate * options_.weight_decay);
    mean.lerp_(gradient, 1 - options_.beta1);
    square.mul_(options_.beta2).addcmul_(gradient, gradient, 1 - options_.beta2);
    parameter.addcdiv_(mean, square.sqrt().div_(root_of_correction).add_(options_.epsilon), -step_size);
  }
}

}  // namespace muster::workloads
