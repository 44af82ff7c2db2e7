#include "workloads/common/layers/max_pool.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace muster::workloads {
namespace {

using torch::Tensor;

Tensor bytes_of(const Tensor& images) {
  return images.permute({0, 2, 3, 1}).contiguous().view(torch::kUInt8);
}

/// Values with many ties, among them zeros of both signs.
Tensor images(torch::Dtype type, at::IntArrayRef shape) {
  torch::manual_seed(5);
  return (torch::randint(-3, 4, shape, torch::kFloat64) / 4)
      .to(type)
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

void expect_as_aten(const Tensor& x) {
  const Tensor ours = x.clone().requires_grad_(), atens = x.clone().requires_grad_();
  const Tensor y = max_pool_2x2(ours), wanted = torch::max_pool2d(atens, 2);
  EXPECT_EQ(y.sizes(), wanted.sizes());
  EXPECT_TRUE(torch::equal(bytes_of(y), bytes_of(wanted)));
  const Tensor dy = torch::linspace(-1, 2, y.numel(), torch::kFloat64).view_as(y).to(x.scalar_type());
  y.backward(dy);
  wanted.backward(dy);
  EXPECT_TRUE(torch::equal(ours.grad(), atens.grad()));
}

TEST(MaxPool, IsAtensForEachTypeAndShape) {
  for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kBFloat16}) {
    for (const auto& shape : std::vector<std::vector<std::int64_t>>{
             {3, 24, 31, 31}, {2, 8, 6, 4}, {1, 1, 2, 3}, {5, 17, 7, 2}, {2, 5, 3, 3}}) {
      SCOPED_TRACE(torch::str(type, " ", at::IntArrayRef(shape)));
      expect_as_aten(images(type, shape));
    }
    expect_as_aten(images(type, {2, 3, 6, 6}).contiguous());  // Not channels-last.
  }
}

TEST(MaxPool, PassesOnWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {kInfinity, -kInfinity, kNan}) {
    for (std::int64_t place = 0; place < 4; ++place) {
      Tensor x = images(torch::kFloat32, {1, 8, 4, 4});
      x.select(2, place / 2).select(2, place % 2).fill_(bad);
      const Tensor y = max_pool_2x2(x), wanted = torch::max_pool2d(x, 2);
      EXPECT_TRUE(torch::allclose(y, wanted, 0, 0, true));
    }
  }
}

}  // namespace
}  // namespace muster::workloads
