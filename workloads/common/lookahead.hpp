#pragma once
/// Weights that step back, every few steps, to a running mean of theirs.

#include <memory>

#include "workloads/common/optimiser.hpp"

namespace muster::workloads {

struct LookaheadOptions {
  std::int64_t every = 0;  ///< steps; 0: no lookahead
  double decay = 0.95;     ///< of the mean, a step, at the training's end
};

/// Another optimiser's steps and, after each `every` of them, mean = k * mean + (1 - k) * weights and weights
/// = mean, where k = decay^every * (step / total_steps)^3; after the last step of all, weights = mean
/// (Lookahead: Zhang et al. 2019; with this k: tysam-code/hlb-CIFAR10 2023, Jordan 2024). The mean begins as
/// the first weights. State: the other's, and "lookahead.NAME".
class Lookahead : public Optimiser {
 public:
  /// `parameters` as the other optimiser's; `weights`, of which the mean is: parameters, and running
  /// statistics. Throws Error(config) for `every` below 1 or a decay outside of [0, 1].
  Lookahead(std::unique_ptr<Optimiser> other, NamedTensors parameters, NamedTensors weights,
            const LookaheadOptions& options, std::int64_t total_steps);

  void step(double rate) override;
  const NamedTensors& state() const override { return state_; }
  void set_steps(std::int64_t steps) override;

 private:
  std::unique_ptr<Optimiser> other_;
  NamedTensors weights_;
  std::vector<torch::Tensor> mean_;  ///< one of each of weights_
  NamedTensors state_;
  LookaheadOptions options_;
  std::int64_t total_steps_;
};

}  // namespace muster::workloads
