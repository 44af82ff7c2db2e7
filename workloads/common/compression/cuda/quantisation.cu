// Compiled without contraction of products and sums: every bit is the CPU's (compression_loops.cpp).
#include <cuda_runtime.h>

#include "workloads/common/compression/cuda/draws.cuh"
#include "workloads/common/compression/cuda/kernels.hpp"
#include "workloads/common/cuda/launch.cuh"

namespace muster::workloads::device {
namespace {

constexpr int kRoundingRounds = 7;
constexpr int kRowsOfADraw = 8;
constexpr int kGroups = kRows / kRowsOfADraw;

// y = (magnitude * lift) * inverse: where a scale is so small that its inverse overflows, lift makes up for
// it.
struct Factors {
  float lift, inverse;
};

__device__ inline Factors factors_of(float scale, std::uint32_t levels) {
  if (scale == 0) return {0, 0};
  const float lift = scale < 0x1p-60F ? 0x1p100F : 1;
  return {lift, static_cast<float>(levels) / (scale * lift)};
}

__device__ inline float scale_at(const Quantisation& how, std::int64_t element) {
  return how.scales[how.bucket > 0 ? element / how.bucket : 0];
}

__device__ inline float limit_of(const float* limit) { return limit != nullptr ? *limit : __builtin_inff(); }

// Four words for the elements of one column in rows 8 * group to 8 * group + 7.
__device__ inline FourWords draw_group(const DrawKey& key, std::int64_t block, int group, int column) {
  const auto n = static_cast<std::uint32_t>(64 * block + kColumns * group + column);
  return draw<kRoundingRounds>(key, key.purpose, n);
}

__device__ inline std::uint32_t half_of(const FourWords& drawn, int row) {
  const std::uint32_t word = drawn.word[row % kRowsOfADraw / 2];
  return row % 2 == 1 ? word >> 16 : word & 0xFFFF;
}

// Whether an element goes up whose 16 bits equal those of its fraction, which is `scaled` / 65536. Not for
// inlining: one element in 65536 comes here.
__device__ __attribute__((noinline)) bool tie_goes_up(DrawKey key, std::uint32_t purpose,
                                                      std::uint32_t element, float scaled) {
  const auto rest = static_cast<double>(scaled - static_cast<float>(static_cast<std::int32_t>(scaled)));
  const std::uint32_t bits = draw<kRoundingRounds>(key, purpose, element).word[0];
  return static_cast<double>(bits) < rest * 4294967296.0;
}

// level << 1 | sign
__device__ inline std::uint32_t code_of(float x, std::uint32_t half, Factors factors, float limit,
                                        const Quantisation& how, std::int64_t element) {
  const std::uint32_t raw = __float_as_uint(x);
  float magnitude = __uint_as_float(raw & 0x7FFFFFFF);
  magnitude = magnitude < limit ? magnitude : limit;
  const float y = (magnitude * factors.lift) * factors.inverse;
  const auto whole = static_cast<std::int32_t>(y);
  const float scaled = (y - static_cast<float>(whole)) * 65536.0F;
  const auto drawn = static_cast<std::int32_t>(half);
  const auto threshold = static_cast<std::int32_t>(scaled);
  const auto levels = static_cast<std::int32_t>(how.levels);
  bool up = drawn < threshold;
  if (drawn == threshold)
    up = tie_goes_up(how.key, how.tie_purpose, static_cast<std::uint32_t>(element), scaled);
  std::int32_t level = up ? whole + 1 : whole;
  level = level < levels ? level : levels;
  return static_cast<std::uint32_t>(level) << 1 | raw >> 31;
}

__device__ inline float value_of(std::uint32_t code, float unit) {
  const float size = static_cast<float>(static_cast<std::int32_t>(code >> 1)) * unit;
  return __uint_as_float(__float_as_uint(size) ^ code << 31);
}

// Where a thread's column is: 16 threads a block of elements.
struct Column {
  std::int64_t block;
  int column;
};

__device__ inline Column column_of_thread() {
  const std::int64_t thread = thread_of_grid();
  return {thread / kColumns, static_cast<int>(thread % kColumns)};
}

// kBits 0: as many as `how` says.
template <int kBits>
__global__ void quantise_blocks(const float* __restrict__ x, std::int64_t blocks, Quantisation how,
                                const float* limit_at, std::uint32_t* __restrict__ packed) {
  const auto [block, column] = column_of_thread();
  if (block >= blocks) return;
  const int bits = kBits > 0 ? kBits : how.bits;
  const std::int64_t first = block * kBlock + column;
  const Factors factors = factors_of(scale_at(how, block * kBlock), how.levels);
  const float limit = limit_of(limit_at);
  std::uint32_t* to = packed + block * kColumns * bits + column;
  std::uint32_t word = 0;
  int used = 0;
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    float value[kRowsOfADraw];
#pragma unroll
    for (int row = 0; row < kRowsOfADraw; ++row)
      value[row] = x[first + (group * kRowsOfADraw + row) * kColumns];
    const FourWords drawn = draw_group(how.key, block, group, column);
#pragma unroll
    for (int row = 0; row < kRowsOfADraw; ++row) {
      const std::int64_t element = first + (group * kRowsOfADraw + row) * kColumns;
      const std::uint32_t code = code_of(value[row], half_of(drawn, row), factors, limit, how, element);
      word |= code << used;
      used += bits;
      if (used >= 32) {
        *to = word;
        to += kColumns;
        used -= 32;
        word = used > 0 ? code >> (bits - used) : 0;
      }
    }
  }
}

// What is left beyond the last full block, `left` elements, a thread a byte.
__global__ void quantise_rest(const float* x, std::int64_t first, int left, Quantisation how,
                              const float* limit_at, std::uint8_t* packed) {
  const Factors factors = factors_of(scale_at(how, first), how.levels);
  const float limit = limit_of(limit_at);
  const int bytes = (left * how.bits + 7) / 8;
  for (auto byte = static_cast<int>(threadIdx.x); byte < bytes; byte += static_cast<int>(blockDim.x)) {
    const int begin = 8 * byte;
    std::uint32_t together = 0;
    for (int i = begin / how.bits; i < left && i * how.bits < begin + 8; ++i) {
      const int row = i / kColumns;
      const FourWords drawn = draw_group(how.key, first / kBlock, row / kRowsOfADraw, i % kColumns);
      const std::uint32_t code = code_of(x[first + i], half_of(drawn, row), factors, limit, how, first + i);
      const int shift = i * how.bits - begin;
      together |= shift >= 0 ? code << shift : code >> -shift;
    }
    packed[byte] = static_cast<std::uint8_t>(together);
  }
}

__device__ inline float unit_at(const Quantisation& how, std::int64_t element, float factor) {
  return scale_at(how, element) * factor / static_cast<float>(how.levels);
}

template <int kBits>
__global__ void dequantise_blocks(const std::uint32_t* __restrict__ packed, std::int64_t blocks,
                                  Quantisation how, float factor, float* __restrict__ out) {
  const auto [block, column] = column_of_thread();
  if (block >= blocks) return;
  const int bits = kBits > 0 ? kBits : how.bits;
  const std::uint32_t mask = (1U << bits) - 1;
  const float unit = unit_at(how, block * kBlock, factor);
  const std::uint32_t* from = packed + block * kColumns * bits + column;
  float* const to = out + block * kBlock + column;
  std::uint32_t word = *from;
  int used = 0;
#pragma unroll
  for (int group = 0; group < kGroups; ++group) {
    float value[kRowsOfADraw];
#pragma unroll
    for (int i = 0; i < kRowsOfADraw; ++i) value[i] = to[(group * kRowsOfADraw + i) * kColumns];
#pragma unroll
    for (int i = 0; i < kRowsOfADraw; ++i) {
      const int row = group * kRowsOfADraw + i;
      std::uint32_t code = word >> used;
      used += bits;
      if (used >= 32) {
        used -= 32;
        if (row + 1 < kRows) {
          from += kColumns;
          word = *from;
          if (used > 0) code |= word << (bits - used);
        }
      }
      to[row * kColumns] = value[i] + value_of(code & mask, unit);
    }
  }
}

__global__ void dequantise_rest(const std::uint8_t* packed, std::int64_t first, int left, Quantisation how,
                                float factor, float* out) {
  const float unit = unit_at(how, first, factor);
  const int bytes = (left * how.bits + 7) / 8;
  for (auto i = static_cast<int>(threadIdx.x); i < left; i += static_cast<int>(blockDim.x)) {
    const int begin = i * how.bits;
    std::uint32_t pending = 0;
    for (int part = 0; part < 3 && begin / 8 + part < bytes; ++part)
      pending |= std::uint32_t{packed[begin / 8 + part]} << (8 * part);
    const std::uint32_t code = pending >> (begin % 8) & ((1U << how.bits) - 1);
    out[first + i] += value_of(code, unit);
  }
}

}  // namespace

cudaError_t quantise(const float* x, std::int64_t count, Quantisation how, const float* limit,
                     std::uint8_t* packed, DeviceCall call) {
  const std::int64_t blocks = count / kBlock, first = blocks * kBlock;
  const std::int64_t grid = parts_of(blocks * kColumns, kThreads);
  auto* words = reinterpret_cast<std::uint32_t*>(packed);
  Launches launches(call.stream);
  // terngrad's codes, qsgd's by default, and all others.
  auto* kernel = how.bits == 2 ? quantise_blocks<2> : how.bits == 9 ? quantise_blocks<9> : quantise_blocks<0>;
  launches.run(grid, kThreads, kernel, x, blocks, how, limit, words);
  if (first < count)
    launches.run(1, kThreads, quantise_rest, x, first, static_cast<int>(count - first), how, limit,
                 packed + first / 8 * how.bits);
  return launches.result();
}

cudaError_t dequantise_add(const std::uint8_t* packed, std::int64_t count, Quantisation how, float factor,
                           float* out, DeviceCall call) {
  const std::int64_t blocks = count / kBlock, first = blocks * kBlock;
  const std::int64_t grid = parts_of(blocks * kColumns, kThreads);
  const auto* words = reinterpret_cast<const std::uint32_t*>(packed);
  Launches launches(call.stream);
  auto* kernel = how.bits == 2   ? dequantise_blocks<2>
                 : how.bits == 9 ? dequantise_blocks<9>
                                 : dequantise_blocks<0>;
  launches.run(grid, kThreads, kernel, words, blocks, how, factor, out);
  if (first < count)
    launches.run(1, kThreads, dequantise_rest, packed + first / 8 * how.bits, first,
                 static_cast<int>(count - first), how, factor, out);
  return launches.result();
}

}  // namespace muster::workloads::device
