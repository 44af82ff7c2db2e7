#pragma once
/// The maximum of 2x2 blocks.

#include <torch/torch.h>

namespace muster::workloads {

/// torch::max_pool2d(x, 2), differentiable once. Channels-last by our loops and kernels, with a byte for each
/// maximum in the place of a 64-bit index.
torch::Tensor max_pool_2x2(const torch::Tensor& x);

}  // namespace muster::workloads
