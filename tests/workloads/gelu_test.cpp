#include "workloads/common/layers/gelu.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace muster::workloads {
namespace {

using torch::Tensor;

/// Every finite bfloat16.
Tensor all_values() {
  const Tensor values = torch::arange(-32768, 32768, torch::kShort).view(torch::kBFloat16);
  return values.masked_select(values.isfinite());
}

/// How far `found` is from `exact`, in steps of bfloat16 there, or of 4e-6 where those are smaller.
double steps_off(const Tensor& found, const Tensor& exact) {
  const Tensor step = (exact.abs() / 128).clamp_min(4e-6);
  return ((found.to(torch::kFloat64) - exact).abs() / step).max().item<double>();
}

TEST(Gelu, IsExactButForItsRounding) {
  const Tensor x = all_values().requires_grad_();
  const Tensor exact_x = x.detach().to(torch::kFloat64).requires_grad_();
  const Tensor y = exact_gelu(x), exact = torch::gelu(exact_x);
  EXPECT_LE(steps_off(y.detach(), exact.detach()), 0.55);
  y.backward(torch::ones_like(y));
  exact.backward(torch::ones_like(exact));
  EXPECT_LE(steps_off(x.grad(), exact_x.grad()), 0.55);
}

/// Where most values are, nearly all roundings are ATen's.
TEST(Gelu, RoundsAsAten) {
  torch::manual_seed(1);
  const Tensor x = torch::randn(100'000).to(torch::kBFloat16).requires_grad_();
  const Tensor other = x.detach().clone().requires_grad_();
  const Tensor dy = torch::randn(100'000).to(torch::kBFloat16);
  const Tensor y = exact_gelu(x), wanted = torch::gelu(other);
  y.backward(dy);
  wanted.backward(dy);
  EXPECT_LT((y != wanted).sum().item<std::int64_t>(), 100);
  EXPECT_LT((x.grad() != other.grad()).sum().item<std::int64_t>(), 100);
}

TEST(Gelu, TakesGradientsOfAnotherLayoutAndWhatIsNotFinite) {
  const Tensor x =
      torch::randn({2, 3, 4, 5}).to(torch::kBFloat16).contiguous(torch::MemoryFormat::ChannelsLast);
  const Tensor one = x.clone().requires_grad_(), other = x.clone().requires_grad_();
  const Tensor dy = torch::randn({2, 3, 4, 5}).to(torch::kBFloat16).contiguous();
  exact_gelu(one).backward(dy);
  torch::gelu(other).backward(dy);
  EXPECT_TRUE(torch::allclose(one.grad().to(torch::kFloat32), other.grad().to(torch::kFloat32), 1e-2, 1e-6));
  const Tensor strange = exact_gelu(torch::tensor({INFINITY, NAN}).to(torch::kBFloat16));
  EXPECT_TRUE(std::isinf(strange[0].item<float>()));
  EXPECT_TRUE(std::isnan(strange[1].item<float>()));
}

}  // namespace
}  // namespace muster::workloads
