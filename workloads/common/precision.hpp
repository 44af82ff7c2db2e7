#pragma once
/// In what a network computes.

#include <torch/torch.h>

#include <string>

namespace muster::workloads {

/// `images`: type of batches, activations and arithmetic; `parameters`: of weights, gradients and optimiser
/// state.
struct Precision {
  torch::Dtype images = torch::kFloat32;
  torch::Dtype parameters = torch::kFloat32;
};

/// "fp32", "fp64", or "bf16": bfloat16 arithmetic with fp32 sums, fp32 master weights and statistics. Throws
/// Error(config) else.
Precision precision_from(const std::string& name);

}  // namespace muster::workloads
