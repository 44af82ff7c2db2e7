#include "workloads/common/layers/winograd_convolution.hpp"

#include <gtest/gtest.h>

namespace muster::workloads {
namespace {

using torch::Tensor;

struct Result {
  Tensor y, dx, dweight;
};

Result with_gradients(const Tensor& x, const Tensor& weight,
                      const std::function<Tensor(const Tensor&, const Tensor&)>& convolve) {
  const auto input = x.clone().requires_grad_(), w = weight.clone().requires_grad_();
  const auto y = convolve(input, w);
  const auto ramp =
      torch::linspace(-1, 1, y.numel(), torch::kFloat64).mul(37).sin().view(y.sizes()).to(y.scalar_type());
  (y * ramp).sum().backward();
  return {y.detach(), input.grad(), w.grad()};
}

Result exact(const Tensor& x, const Tensor& weight) {
  return with_gradients(
      x.to(torch::kFloat64), weight.to(torch::kFloat64),
      [](const Tensor& input, const Tensor& w) { return torch::conv2d(input, w, {}, 1, 1); });
}

Result winograd(const Tensor& x, const Tensor& weight) {
  WinogradWeight transformed;
  return with_gradients(x, weight, [&](const Tensor& input, const Tensor& w) {
    return winograd_convolution(input, w, transformed);
  });
}

double distance(const Tensor& a, const Tensor& b) {
  return ((a.to(torch::kFloat64) - b).norm() / b.norm()).item<double>();
}

struct Case {
  std::int64_t images, in, out, height, width;
};

class Winograd : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    torch::manual_seed(2);
    const auto [images, in, out, height, width] = GetParam();
    x = torch::randn({images, in, height, width}).contiguous(torch::MemoryFormat::ChannelsLast);
    weight = torch::randn({out, in, 3, 3}) / std::sqrt(9.0 * static_cast<double>(in));
  }
  Tensor x, weight;
};

TEST_P(Winograd, EqualsTheDirectConvolutionInFp32) {
  if (!winograd_takes(x, weight)) GTEST_SKIP() << "this CPU has no such kernels: they need AVX-512";
  const Result ours = winograd(x, weight), truth = exact(x, weight);
  EXPECT_LT(distance(ours.y, truth.y), 2e-6);
  EXPECT_LT(distance(ours.dx, truth.dx), 2e-6);
  EXPECT_LT(distance(ours.dweight, truth.dweight), 5e-6);
}

// Both operands are rounded once more than by a direct convolution: 2^-9 each, against 2^-9 for the weight
// alone.
TEST_P(Winograd, KeepsToBfloat16sRounding) {
  const Tensor half = x.to(torch::kBFloat16);
  if (!winograd_takes(half, weight))
    GTEST_SKIP() << "this CPU has no such kernels: they need AVX-512 with bfloat16 and no AMX";
  const Result ours = winograd(half, weight), truth = exact(half, weight);
  EXPECT_EQ(ours.dweight.scalar_type(), torch::kFloat32);
  EXPECT_LT(distance(ours.y, truth.y), 6e-3);
  EXPECT_LT(distance(ours.dx, truth.dx), 7e-3);
  EXPECT_LT(distance(ours.dweight, truth.dweight), 6e-3);
}

TEST_P(Winograd, HasTheSameBitsWhateverTheThreads) {
  if (!winograd_takes(x, weight)) GTEST_SKIP() << "this CPU has no such kernels: they need AVX-512";
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const Result one = winograd(x, weight);
  at::set_num_threads(3);
  const Result three = winograd(x, weight);
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(one.y, three.y) && torch::equal(one.dx, three.dx) &&
              torch::equal(one.dweight, three.dweight));
}

std::string case_name(const ::testing::TestParamInfo<Winograd::ParamType>& info) {
  const auto [images, in, out, height, width] = info.param;
  std::string name = std::to_string(images);
  for (const auto size : {in, height, width}) name += "x" + std::to_string(size);
  return name + "_to_" + std::to_string(out);
}

INSTANTIATE_TEST_SUITE_P(Shapes, Winograd,
                         ::testing::Values(Case{1, 32, 32, 2, 2}, Case{3, 32, 64, 6, 4},
                                           Case{5, 64, 32, 10, 14}, Case{8, 96, 160, 8, 8},
                                           Case{16, 64, 128, 16, 16}),
                         case_name);

TEST(WinogradWeight, FollowsTheWeight) {
  const auto x = torch::randn({2, 32, 4, 4}).contiguous(torch::MemoryFormat::ChannelsLast);
  auto weight = torch::randn({32, 32, 3, 3});
  if (!winograd_takes(x, weight)) GTEST_SKIP() << "this CPU has no such kernels: they need AVX-512";
  WinogradWeight transformed;
  const auto before = winograd_convolution(x, weight, transformed);
  weight.mul_(2);
  EXPECT_TRUE(torch::allclose(winograd_convolution(x, weight, transformed), 2 * before, 1e-5, 1e-5));
}

TEST(WinogradShapes, LeavesOtherShapesToTheLibrary) {
  const auto weight = torch::zeros({32, 32, 3, 3});
  EXPECT_FALSE(winograd_takes(torch::zeros({1, 32, 5, 4}), weight));
  EXPECT_FALSE(winograd_takes(torch::zeros({1, 32, 4, 4}, torch::kFloat64), weight));
  EXPECT_FALSE(winograd_takes(torch::zeros({1, 3, 4, 4}), torch::zeros({32, 3, 3, 3})));
  EXPECT_FALSE(winograd_takes(torch::zeros({1, 32, 4, 4}), torch::zeros({32, 32, 1, 1})));
}

}  // namespace
}  // namespace muster::workloads
