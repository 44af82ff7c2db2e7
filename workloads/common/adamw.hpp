#pragma once
/// Adam with decoupled weight decay (Loshchilov and Hutter 2019).

#include "workloads/common/optimiser.hpp"

namespace muster::workloads {

struct AdamWOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 1e-2;  ///< of all parameters; a step shrinks them by rate · weight_decay
};

/// w *= 1 - rate * weight_decay; m and v are the means of gradients and of their squares, decaying by beta1
/// and beta2; w -= rate * m' / (sqrt(v') + epsilon), where m' and v' are corrected for having begun at zero:
/// torch.optim.AdamW. State: "momentum.NAME" and "variance.NAME".
class AdamW : public Optimiser {
 public:
  /// Throws Error(config) for negative numbers and betas that are not below 1.
  AdamW(NamedTensors parameters, const AdamWOptions& options);

  void step(double rate) override;
  const NamedTensors& state() const override { return state_; }

 private:
  AdamWOptions options_;
  NamedTensors state_;  ///< m of every parameter, then v of every parameter
};

}  // namespace muster::workloads
