#pragma once
/// Registers full of numbers, and Philox draws in them, for files that are compiled once for each instruction
/// set.

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include "workloads/common/kernels/compression.hpp"
#include "workloads/common/kernels/philox.hpp"

// No two instruction sets may share any of this.
namespace muster::workloads {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif
constexpr int kColumns = 16;
constexpr int kRows = 32;
constexpr std::int64_t kBlock = kColumns * kRows;
constexpr std::uint32_t kMagnitude = 0x7FFFFFFF;
constexpr std::uint32_t kFlag = 0x80000000;
constexpr int kRoundingRounds = 7;

// One register each.
typedef float Floats __attribute__((vector_size(4 * kWidth)));
typedef std::int32_t Ints __attribute__((vector_size(4 * kWidth)));
typedef std::uint32_t Words __attribute__((vector_size(4 * kWidth)));
typedef std::uint64_t Longs __attribute__((vector_size(4 * kWidth)));
typedef double Doubles __attribute__((vector_size(4 * kWidth)));
typedef float HalfFloats __attribute__((vector_size(2 * kWidth)));

template <class Vector>
inline Vector load(const void* from) {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
template <class Vector>
inline void store(void* to, Vector value) {
  __builtin_memcpy(to, &value, sizeof value);
}
inline std::uint32_t bits_of(float value) { return __builtin_bit_cast(std::uint32_t, value); }

inline bool any(Words mask) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif defined(__AVX2__)
  return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#else
  std::uint32_t together = 0;
  for (int i = 0; i < kWidth; ++i) together |= mask[i];
  return together != 0;
#endif
}

// ---- draws

// The products of lanes' lower halves.
inline Longs product(Longs a, std::uint32_t b) {
#if defined(__AVX512F__)
  return (Longs)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(b));
#elif defined(__AVX2__)
  return (Longs)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(b));
#elif defined(__SSE2__)
  return (Longs)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(b));
#else
  return (a & 0xFFFFFFFF) * b;
#endif
}

// Four words of each of kWidth columns from `column` on; counters are first + column.
struct Drawn {
  Words word[4];
};

template <int kRounds>
inline Drawn draw(const DrawKey& key, std::uint32_t first) {
  // Philox lives in the lower halves of 64-bit lanes; upper halves hold what is left over.
  constexpr std::uint64_t kEven[] = {0, 2, 4, 6, 8, 10, 12, 14};
  Longs x0[2], x1[2], x2[2], x3[2];
  for (int odd = 0; odd < 2; ++odd) {
    x0[odd] = load<Longs>(kEven) + (first + static_cast<std::uint32_t>(odd));
    x1[odd] = Longs{} + key.layer;
    x2[odd] = Longs{} + key.step;
    x3[odd] = Longs{} + key.purpose;
  }
  auto key0 = static_cast<std::uint32_t>(key.seed);
  auto key1 = static_cast<std::uint32_t>(key.seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < kRounds; ++round) {
    for (int odd = 0; odd < 2; ++odd) {
      const Longs left = product(x0[odd], 0xD2511F53);
      const Longs right = product(x2[odd], 0xCD9E8D57);
      x0[odd] = (right >> 32) ^ x1[odd] ^ key0;
      x1[odd] = right;
      x2[odd] = (left >> 32) ^ x3[odd] ^ key1;
      x3[odd] = left;
    }
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  const auto joined = [](const Longs* x) { return (Words)((x[0] & 0xFFFFFFFF) | (x[1] << 32)); };
  return {{joined(x0), joined(x1), joined(x2), joined(x3)}};
}

inline std::uint32_t drawn_word0(const DrawKey& key, std::uint32_t purpose, std::uint32_t n) {
  return philox<kRoundingRounds>(key.seed, {{n, key.layer, key.step, purpose}}).word[0];
}

inline void draw_block(const DrawKey& key, std::int64_t block, std::uint32_t* out) {
  for (int row = 0; row < kRows; row += 4) {
    for (int column = 0; column < kColumns; column += kWidth) {
      const auto n = static_cast<std::uint32_t>(128 * block + 16 * (row / 4) + column);
      const Drawn drawn = draw<10>(key, n);
      for (int i = 0; i < 4; ++i) store(out + (row + i) * kColumns + column, drawn.word[i]);
    }
  }
}

}  // namespace
}  // namespace muster::workloads
