#pragma once
/// Philox draws, one thread each. The same bits as vector_draws.hpp, which no compiler may share with this:
/// it is compiled once for each of a CPU's instruction sets.

#include <cuda_runtime.h>

#include <cstdint>

#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads::device {

// A block of elements, as CompressionKernels takes them.
constexpr int kColumns = 16;
constexpr int kRows = 32;
constexpr int kBlock = kColumns * kRows;

struct FourWords {
  std::uint32_t word[4];
};

/// Philox 4x32 with the counter {n, layer, step, purpose}.
template <int kRounds>
__device__ inline FourWords draw(const DrawKey& key, std::uint32_t purpose, std::uint32_t n) {
  std::uint32_t x0 = n, x1 = key.layer, x2 = key.step, x3 = purpose;
  auto key0 = static_cast<std::uint32_t>(key.seed);
  auto key1 = static_cast<std::uint32_t>(key.seed >> 32);
#pragma unroll
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53} * x0;
    const std::uint64_t right = std::uint64_t{0xCD9E8D57} * x2;
    x0 = static_cast<std::uint32_t>(right >> 32) ^ x1 ^ key0;
    x1 = static_cast<std::uint32_t>(right);
    x2 = static_cast<std::uint32_t>(left >> 32) ^ x3 ^ key1;
    x3 = static_cast<std::uint32_t>(left);
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return {{x0, x1, x2, x3}};
}

}  // namespace muster::workloads::device
