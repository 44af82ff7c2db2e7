#pragma once
/// GELU, the exact one.

#include <torch/torch.h>

namespace muster::workloads {

/// torch::gelu(x), differentiable once; bfloat16 on the CPU by loops of our own, which cost less than an
/// exact error function.
torch::Tensor exact_gelu(const torch::Tensor& x);

}  // namespace muster::workloads
