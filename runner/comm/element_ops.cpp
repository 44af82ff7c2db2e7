#include "runner/comm/element_ops.hpp"

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "runner/comm/half_float.hpp"

// The hot sums exist once per instruction set; the loader picks. Sanitizers start before the loader could.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define MUSTER_EACH_INSTRUCTION_SET __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define MUSTER_EACH_INSTRUCTION_SET
#endif

namespace muster {
namespace {

MUSTER_EACH_INSTRUCTION_SET
void sum_f32(float* __restrict a, const float* __restrict b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) a[i] += b[i];
}

MUSTER_EACH_INSTRUCTION_SET
void sum_f64(double* __restrict a, const double* __restrict b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) a[i] += b[i];
}

MUSTER_EACH_INSTRUCTION_SET
void sum_bf16(std::uint16_t* __restrict a, const std::uint16_t* __restrict b, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    const float sum =
        std::bit_cast<float>(std::uint32_t{a[i]} << 16) + std::bit_cast<float>(std::uint32_t{b[i]} << 16);
    const auto bits = std::bit_cast<std::uint32_t>(sum);
    const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const std::uint32_t quiet_nan = (bits >> 16) | 0x40u;
    a[i] = static_cast<std::uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? quiet_nan : rounded);
  }
}

template <typename T>
T pick(T a, T b, ReduceOp op) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(a) || std::isnan(b)) return std::numeric_limits<T>::quiet_NaN();
    if (a == b) return (std::signbit(a) == (op == ReduceOp::minimum)) ? a : b;
  }
  return (op == ReduceOp::minimum) ? (b < a ? b : a) : (a < b ? b : a);
}

template <typename T>
void reduce_plain(void* accumulator, const void* operand, std::size_t n, ReduceOp op) {
  auto* a = static_cast<T*>(accumulator);
  const auto* b = static_cast<const T*>(operand);
  switch (op) {
    case ReduceOp::sum:
      if constexpr (std::is_same_v<T, float>) {
        sum_f32(a, b, n);
      } else if constexpr (std::is_same_v<T, double>) {
        sum_f64(a, b, n);
      } else {
        using Unsigned = std::make_unsigned_t<T>;
        for (std::size_t i = 0; i < n; ++i)
          a[i] = static_cast<T>(
              static_cast<Unsigned>(static_cast<Unsigned>(a[i]) + static_cast<Unsigned>(b[i])));
      }
      break;
    case ReduceOp::minimum:
      for (std::size_t i = 0; i < n; ++i) a[i] = pick(a[i], b[i], ReduceOp::minimum);
      break;
    case ReduceOp::maximum:
      for (std::size_t i = 0; i < n; ++i) a[i] = pick(a[i], b[i], ReduceOp::maximum);
      break;
  }
}

void reduce_bf16(std::uint16_t* a, const std::uint16_t* b, std::size_t n, ReduceOp op) {
  if (op == ReduceOp::sum) return sum_bf16(a, b, n);
  for (std::size_t i = 0; i < n; ++i) {
    const float chosen = pick(std::bit_cast<float>(std::uint32_t{a[i]} << 16),
                              std::bit_cast<float>(std::uint32_t{b[i]} << 16), op);
    a[i] = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(chosen) >> 16);
  }
}

void reduce_f16(std::uint16_t* a, const std::uint16_t* b, std::size_t n, ReduceOp op) {
  if (op == ReduceOp::sum) return sum_f16(a, b, n);
  for (std::size_t i = 0; i < n; ++i) a[i] = f16_from_f32(pick(f32_from_f16(a[i]), f32_from_f16(b[i]), op));
}

void reduce_boolean(std::uint8_t* a, const std::uint8_t* b, std::size_t n, ReduceOp op) {
  for (std::size_t i = 0; i < n; ++i) {
    const bool both = a[i] != 0 && b[i] != 0;
    const bool either = a[i] != 0 || b[i] != 0;
    a[i] = (op == ReduceOp::minimum) ? both : either;
  }
}

}  // namespace

void reduce_into(void* accumulator, const void* operand, std::size_t count, DType type, ReduceOp op) {
  switch (type) {
    case DType::u8:
      return reduce_plain<std::uint8_t>(accumulator, operand, count, op);
    case DType::i8:
      return reduce_plain<std::int8_t>(accumulator, operand, count, op);
    case DType::i16:
      return reduce_plain<std::int16_t>(accumulator, operand, count, op);
    case DType::i32:
      return reduce_plain<std::int32_t>(accumulator, operand, count, op);
    case DType::i64:
      return reduce_plain<std::int64_t>(accumulator, operand, count, op);
    case DType::f32:
      return reduce_plain<float>(accumulator, operand, count, op);
    case DType::f64:
      return reduce_plain<double>(accumulator, operand, count, op);
    case DType::bf16:
      return reduce_bf16(static_cast<std::uint16_t*>(accumulator), static_cast<const std::uint16_t*>(operand),
                         count, op);
    case DType::f16:
      return reduce_f16(static_cast<std::uint16_t*>(accumulator), static_cast<const std::uint16_t*>(operand),
                        count, op);
    case DType::boolean:
      return reduce_boolean(static_cast<std::uint8_t*>(accumulator),
                            static_cast<const std::uint8_t*>(operand), count, op);
  }
}

}  // namespace muster
