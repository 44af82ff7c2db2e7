#pragma once
/// What turns gradients into steps.

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace muster::workloads {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

/// Parameters must be fp32 or fp64; one without gradient is left alone. A step gives the same bits whatever
/// the threads.
class Optimiser {
 public:
  explicit Optimiser(NamedTensors parameters) : parameters_(std::move(parameters)) {}
  virtual ~Optimiser() = default;
  Optimiser(const Optimiser&) = delete;
  Optimiser& operator=(const Optimiser&) = delete;

  virtual void step(double rate) = 0;
  /// What a checkpoint must hold beside the number of steps; write into these to restore.
  virtual const NamedTensors& state() const = 0;
  /// How many steps have made this state.
  virtual void set_steps(std::int64_t steps) { steps_ = steps; }
  /// Gradients become undefined, so that the next backward pass stores instead of adding.
  void clear_gradients() {
    for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
  }

 protected:
  NamedTensors parameters_;
  std::int64_t steps_ = 0;
};

}  // namespace muster::workloads
