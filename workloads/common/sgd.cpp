#include "workloads/common/sgd.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/kernels/kernels.hpp"

namespace muster::workloads {
namespace {

constexpr std::int64_t kGrain = 1 << 16;

template <class Real, class Kernel>
void update(const torch::Tensor& weight, const torch::Tensor& gradient, const torch::Tensor& momentum,
            SgdStep<Real> step, const Kernel& kernel) {
  Real* w = weight.data_ptr<Real>();
  const Real* g = gradient.const_data_ptr<Real>();
  Real* m = momentum.defined() ? momentum.data_ptr<Real>() : nullptr;
  at::parallel_for(0, weight.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel(w + begin, g + begin, m ? m + begin : nullptr, end - begin, step);
  });
}

template <class Real>
SgdStep<Real> typed(double rate, const SgdOptions& options, double decay, bool first) {
  return {static_cast<Real>(rate), static_cast<Real>(options.momentum), static_cast<Real>(decay),
          options.nesterov, first};
}

}  // namespace

Sgd::Sgd(NamedTensors parameters, const SgdOptions& options, std::vector<double> rate_factors)
    : Optimiser(std::move(parameters)), options_(options), rate_factors_(std::move(rate_factors)) {
  if (rate_factors_.empty()) rate_factors_.assign(parameters_.size(), 1.0);
  MUSTER_ASSERT(rate_factors_.size() == parameters_.size());
  if (!std::all_of(rate_factors_.begin(), rate_factors_.end(), [](double factor) { return factor > 0; })) {
    throw Error(ExitCode::config, "SGD: a factor of the learning rate is not above 0",
                "1 leaves a parameter's rate as it is");
  }
  if (!(options.momentum >= 0) || !(options.weight_decay >= 0) ||
      (options.nesterov && options.momentum == 0)) {
    throw Error(ExitCode::config,
                "SGD: momentum and weight decay must not be negative, and Nesterov needs momentum",
                "the usual choice is momentum = 0.9, weight_decay = 5e-4");
  }
  if (options.momentum == 0) return;
  for (const auto& [name, parameter] : parameters_)
    momentum_.emplace_back("momentum." + name, torch::zeros_like(parameter));
}

double Sgd::decay_of(std::size_t i) const {
  const bool decays = parameters_[i].second.dim() > 1 || options_.decay_vectors;
  return decays ? options_.weight_decay / rate_factors_[i] : 0;
}

/// A few kernels in all, one a group of parameters that share rate and decay.
void Sgd::step_fused(double rate) {
  struct Group {
    std::vector<torch::Tensor> weights, gradients, momenta;
  };
  std::map<std::pair<double, double>, Group> groups;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const torch::Tensor& weight = parameters_[i].second;
    if (!weight.grad().defined()) continue;
    Group& group = groups[{rate_factors_[i], decay_of(i)}];
    group.weights.push_back(weight);
    group.gradients.push_back(weight.grad().contiguous());
    if (!momentum_.empty()) group.momenta.push_back(momentum_[i].second);
  }
  for (auto& [shared, group] : groups) {
    const auto& [factor, decay] = shared;
    at::_fused_sgd_(group.weights, group.gradients, group.momenta, decay, options_.momentum, rate * factor,
                    /*dampening=*/0, options_.nesterov, /*maximize=*/false, steps_ == 0);
    // Working copies go by the version, and not every LibTorch counts this as a change.
    for (const torch::Tensor& weight : group.weights) weight.unsafeGetTensorImpl()->bump_version();
  }
}

void Sgd::step(double rate) {
  const torch::NoGradGuard no_grad;
  if (!parameters_.empty() && !parameters_.front().second.is_cpu()) {
    step_fused(rate);
    ++steps_;
    return;
  }
  const bool first = steps_ == 0;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    auto& parameter = parameters_[i].second;
    if (!parameter.grad().defined()) continue;
    const auto gradient = parameter.grad().contiguous();
    const auto momentum = momentum_.empty() ? torch::Tensor() : momentum_[i].second;
    const double factor = rate_factors_[i];
    const double own_rate = rate * factor;
    const double decay = decay_of(i);
    MUSTER_ASSERT(parameter.is_contiguous());
    if (parameter.scalar_type() == torch::kFloat64) {
      update(parameter, gradient, momentum, typed<double>(own_rate, options_, decay, first),
             kernels().sgd_f64);
    } else {
      update(parameter, gradient, momentum, typed<float>(own_rate, options_, decay, first),
             kernels().sgd_f32);
    }
    // The kernel wrote behind autograd's back: working copies go by the version.
    parameter.unsafeGetTensorImpl()->bump_version();
  }
  ++steps_;
}

}  // namespace muster::workloads
