#pragma once
/// Philox 4x32, a draw at a time: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#include <cstdint>

#if defined(__CUDACC__)
#define MUSTER_PHILOX __host__ __device__ __forceinline__
#else
#define MUSTER_PHILOX inline __attribute__((always_inline))
#endif

namespace muster::workloads {

struct FourWords {
  std::uint32_t word[4];
};

/// Always a part of its caller, since some of them are compiled once for each of a CPU's instruction sets.
template <int kRounds>
MUSTER_PHILOX FourWords philox(std::uint64_t seed, FourWords counter) {
  std::uint32_t x0 = counter.word[0], x1 = counter.word[1], x2 = counter.word[2], x3 = counter.word[3];
  auto key0 = static_cast<std::uint32_t>(seed);
  auto key1 = static_cast<std::uint32_t>(seed >> 32);
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

}  // namespace muster::workloads

#undef MUSTER_PHILOX
