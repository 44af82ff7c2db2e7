#pragma once
/// Random numbers as a function of a key and a counter: no state, so draws depend on neither order, ranks nor
/// threads. Philox 4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

#include <array>
#include <cstdint>

#include "workloads/common/kernels/philox.hpp"

namespace muster::workloads {

/// What a draw is for: the same seed and index give unrelated numbers in different streams.
enum class RandomStream : std::uint32_t {
  order = 1,
  augmentation = 2,
  synthetic_class = 3,
  synthetic_sample = 4,
  dropout = 5,
  rounding = 6,       ///< of quantised gradients; the rank lies above the lowest 8 bits
  rounding_tail = 7,  ///< further bits of the same
  selection = 8,      ///< of gradient elements
  powersgd = 9,
  split = 10,
  mixing = 11
};

/// Four uniform 32-bit numbers of (seed, stream, a, b). `a` counts to 2^32 - 1 (an epoch), `b` to 2^32 - 1 (a
/// sample), `block` gives further fours of the same place.
class CounterRandom {
 public:
  CounterRandom(std::uint64_t seed, RandomStream stream)
      : seed_(seed), stream_(static_cast<std::uint32_t>(stream)) {}

  std::array<std::uint32_t, 4> draw(std::uint32_t a, std::uint32_t b, std::uint32_t block = 0) const {
    const FourWords x = philox<10>(seed_, {{block, b, a, stream_}});
    return {x.word[0], x.word[1], x.word[2], x.word[3]};
  }

 private:
  std::uint64_t seed_;
  std::uint32_t stream_;
};

/// 32 uniform bits to [0, bound), by multiplication: for bounds far below 2^32 the bias is bound / 2^32.
inline std::uint32_t below(std::uint32_t bits, std::uint32_t bound) {
  return static_cast<std::uint32_t>((std::uint64_t{bits} * bound) >> 32);
}

}  // namespace muster::workloads
