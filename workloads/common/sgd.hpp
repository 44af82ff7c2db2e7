#pragma once
/// Stochastic gradient descent.

#include <torch/torch.h>

#include <string>
#include <utility>
#include <vector>

namespace muster::workloads {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

struct SgdOptions {
  double momentum = 0.9;
  double weight_decay = 5e-4;  ///< added to the gradient, as PyTorch does
  bool nesterov = true;
  bool decay_vectors = true;  ///< false: no weight decay of batch normalisation's parameters and biases
};

/// g = gradient + weight_decay * w; m = momentum * m + g; w -= rate * (nesterov ? g + momentum * m : m), as
/// torch.optim.SGD; m begins as the first g. One pass over each parameter; the same bits whatever the threads
/// or the vector width. Parameters must be fp32 or fp64, contiguous; a parameter without gradient is left
/// alone.
class Sgd {
 public:
  /// Throws Error(config) for negative numbers, or Nesterov without momentum.
  Sgd(NamedTensors parameters, const SgdOptions& options);

  void step(double rate);
  /// Gradients become undefined, so that the next backward pass stores instead of adding.
  void clear_gradients();

  /// What a checkpoint must hold, by "momentum.NAME"; write into these to restore. `began` says whether the
  /// buffers count.
  const NamedTensors& state() const { return momentum_; }
  bool began() const { return began_; }
  void set_began(bool began) { began_ = began; }

 private:
  NamedTensors parameters_;
  NamedTensors momentum_;
  SgdOptions options_;
  bool began_ = false;
};

}  // namespace muster::workloads
