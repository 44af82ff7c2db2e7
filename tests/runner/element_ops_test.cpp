#include "runner/comm/element_ops.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "runner/comm/half_float.hpp"

namespace muster {
namespace {

std::uint16_t nearest_bf16(float value) {
  std::uint16_t best = 0;
  double distance = INFINITY;
  const auto low = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
  for (const std::uint16_t candidate : {low, static_cast<std::uint16_t>(low + 1)}) {
    const double d = std::abs(double{std::bit_cast<float>(std::uint32_t{candidate} << 16)} - double{value});
    if (d < distance || (d == distance && candidate % 2 == 0)) best = candidate, distance = d;
  }
  return best;
}

TEST(HalfFloat, GoesThereAndBackForEveryValue) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float wide = f32_from_f16(half);
    if (std::isnan(wide))
      EXPECT_TRUE(std::isnan(f32_from_f16(f16_from_f32(wide))));
    else
      EXPECT_EQ(f16_from_f32(wide), half);
  }
}

TEST(HalfFloat, RoundsToTheNearestAndTiesToEven) {
  for (std::uint32_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = f32_from_f16(static_cast<std::uint16_t>(bits));
    const float high = f32_from_f16(static_cast<std::uint16_t>(bits + 1));
    const float middle = (low + high) / 2;
    EXPECT_EQ(f16_from_f32(middle), bits % 2 == 0 ? bits : bits + 1);
    EXPECT_EQ(f16_from_f32(std::nextafter(middle, high)), bits + 1);
    EXPECT_EQ(f16_from_f32(std::nextafter(middle, low)), bits);
  }
  EXPECT_EQ(f16_from_f32(65520.0F), 0x7c00);
  EXPECT_EQ(f16_from_f32(65519.0F), 0x7bff);
}

TEST(ReduceInto, RoundsBf16SumsToTheNearest) {
  std::vector<std::uint16_t> a;
  std::vector<std::uint16_t> b;
  for (std::uint32_t i = 0; i < 4000; ++i) {
    a.push_back(static_cast<std::uint16_t>(0x3f00 + i * 37 % 1000));
    b.push_back(static_cast<std::uint16_t>(0x3e00 + i * 91 % 1000));
  }
  auto sum = a;
  reduce_into(sum.data(), b.data(), sum.size(), DType::bf16, ReduceOp::sum);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const float exact =
        std::bit_cast<float>(std::uint32_t{a[i]} << 16) + std::bit_cast<float>(std::uint32_t{b[i]} << 16);
    EXPECT_EQ(sum[i], nearest_bf16(exact)) << i;
  }
}

TEST(ReduceInto, SumsF16AsTheScalarConversionDoes) {
  std::vector<std::uint16_t> a;
  std::vector<std::uint16_t> b;
  for (std::uint32_t i = 0; i < 5003; ++i) {
    a.push_back(static_cast<std::uint16_t>(i * 13 % 0x7c00));
    b.push_back(static_cast<std::uint16_t>(0x8000 + i * 29 % 0x7c00));
  }
  auto sum = a;
  reduce_into(sum.data(), b.data(), sum.size(), DType::f16, ReduceOp::sum);
  for (std::size_t i = 0; i < a.size(); ++i)
    EXPECT_EQ(sum[i], f16_from_f32(f32_from_f16(a[i]) + f32_from_f16(b[i]))) << i;
}

TEST(ReduceInto, KeepsNanInEveryHalfType) {
  std::uint16_t bf16[2] = {0x7fc0, 0x3f80};
  const std::uint16_t bf16_nan[2] = {0x3f80, 0x7f81};
  reduce_into(bf16, bf16_nan, 2, DType::bf16, ReduceOp::sum);
  for (const std::uint16_t v : bf16) EXPECT_TRUE(std::isnan(std::bit_cast<float>(std::uint32_t{v} << 16)));
  std::uint16_t f16[1] = {0x3c00};
  const std::uint16_t f16_nan[1] = {0x7e01};
  reduce_into(f16, f16_nan, 1, DType::f16, ReduceOp::sum);
  EXPECT_TRUE(std::isnan(f32_from_f16(f16[0])));
}

TEST(ReduceInto, WrapsIntegersAndOrsBooleans) {
  std::int32_t big[1] = {0x7fffffff};
  const std::int32_t one[1] = {1};
  reduce_into(big, one, 1, DType::i32, ReduceOp::sum);
  EXPECT_EQ(big[0], INT32_MIN);
  std::uint8_t flags[3] = {1, 1, 0};
  const std::uint8_t others[3] = {1, 0, 0};
  reduce_into(flags, others, 3, DType::boolean, ReduceOp::sum);
  EXPECT_EQ(flags[0], 1);
  EXPECT_EQ(flags[1], 1);
  EXPECT_EQ(flags[2], 0);
}

}  // namespace
}  // namespace muster
