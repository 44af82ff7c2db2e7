#pragma once
/// What batch normalisation is fused with. No torch.

namespace muster::workloads {

/// What a network does right after normalising.
enum class AfterNorm {
  nothing,
  relu,
  relu_pool,  ///< ReLU, then the maximum of each 2x2 block; height and width must be even
  gelu,       ///< the exact one
};

}  // namespace muster::workloads
