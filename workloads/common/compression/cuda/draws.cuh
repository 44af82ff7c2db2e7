#pragma once
/// Philox draws, one thread each: the same bits as vector_draws.hpp.

#include <cuda_runtime.h>

#include <cstdint>

#include "workloads/common/kernels/compression.hpp"
#include "workloads/common/kernels/philox.hpp"

namespace muster::workloads::device {

// A block of elements, as CompressionKernels takes them.
constexpr int kColumns = 16;
constexpr int kRows = 32;
constexpr int kBlock = kColumns * kRows;

/// With the counter {n, layer, step, purpose}.
template <int kRounds>
__device__ inline FourWords draw(const DrawKey& key, std::uint32_t purpose, std::uint32_t n) {
  return philox<kRounds>(key.seed, {{n, key.layer, key.step, purpose}});
}

}  // namespace muster::workloads::device
