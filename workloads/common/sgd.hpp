#pragma once
/// Stochastic gradient descent.

#include "workloads/common/optimiser.hpp"

namespace muster::workloads {

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 5e-4;  ///< added to the gradient, as PyTorch does
  bool nesterov = true;
  bool decay_vectors = true;  ///< false: no weight decay of batch normalisation's parameters and biases
};

/// g = gradient + weight_decay * w; m = momentum * m + g; w -= rate * (nesterov ? g + momentum * m : m), as
/// torch.optim.SGD; m begins as the first g. One pass over each parameter; the same bits whatever the vector
/// width too. `rate_factors`, one a parameter (none: all 1), multiply the rate and divide the weight decay,
/// so that what decays in a step stays. Parameters must be contiguous. State: "momentum.NAME" where there is
/// momentum.
class Sgd : public Optimiser {
 public:
  /// Throws Error(config) for negative numbers, Nesterov without momentum, or a factor that is not above 0.
  Sgd(NamedTensors parameters, const SgdOptions& options, std::vector<double> rate_factors = {});

  void step(double rate) override;
  const NamedTensors& state() const override { return momentum_; }

 private:
  void step_fused(double rate);
  double decay_of(std::size_t i) const;

  NamedTensors momentum_;
  SgdOptions options_;
  std::vector<double> rate_factors_;  ///< one a parameter
};

}  // namespace muster::workloads
