#pragma once
/// A batch normalisation's forward and backward pass on given data, fused or by ATen's operators.

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>
#include <tuple>

#include "workloads/common/layers/fused_norm.hpp"

namespace muster::workloads::testing {

/// On the CPU, wherever it was computed.
struct NormResult {
  torch::Tensor y, dx, dskip, dweight, dbias, running_mean, running_var;
};

/// normalise(input, weight, bias, running mean, running variance, skip) on `device`.
template <class Normalise>
NormResult norm_by(const torch::Tensor& x, const torch::Tensor& skip, torch::Device device,
                   const Normalise& normalise) {
  const auto real = x.scalar_type() == torch::kFloat64 ? torch::kFloat64 : torch::kFloat32;
  const auto channels = x.size(1);
  const auto weight = torch::linspace(-1.5, 2, channels, real).to(device).requires_grad_();
  const auto bias = torch::linspace(1, -0.5, channels, real).to(device).requires_grad_();
  const auto mean = torch::full({channels}, 0.25, real).to(device);
  const auto var = torch::full({channels}, 2.0, real).to(device);
  const auto input = x.clone().to(device).requires_grad_();
  const auto added = skip.defined() ? skip.clone().to(device).requires_grad_() : torch::Tensor();
  const torch::Tensor y = normalise(input, weight, bias, mean, var, added);
  const auto ramp = torch::linspace(-1, 1, y.numel(), torch::kFloat64).view(y.sizes()).sin();
  (y * ramp.to(y.scalar_type()).to(device)).sum().backward();
  return {.y = y.detach().cpu(),
          .dx = input.grad().cpu(),
          .dskip = added.defined() ? added.grad().cpu() : torch::Tensor(),
          .dweight = weight.grad().cpu(),
          .dbias = bias.grad().cpu(),
          .running_mean = mean.cpu(),
          .running_var = var.cpu()};
}

inline NormResult fused(const torch::Tensor& x, const torch::Tensor& skip, AfterNorm after,
                        torch::Device device = torch::kCPU) {
  return norm_by(
      x, skip, device,
      [&](const auto& input, const auto& weight, const auto& bias, const auto& mean, const auto& var,
          const auto& added) { return fused_norm(input, weight, bias, mean, var, after, added); });
}

inline NormResult composed(const torch::Tensor& x, const torch::Tensor& skip, AfterNorm after) {
  return norm_by(x, skip, torch::kCPU,
                 [&](const auto& input, const auto& weight, const auto& bias, const auto& mean,
                     const auto& var, const auto& added) {
                   auto y = torch::batch_norm(input, weight, bias, mean, var, true, kNormMomentum,
                                              kNormEpsilon, false);
                   if (added.defined()) y = y + added;
                   if (after == AfterNorm::gelu) return torch::gelu(y);
                   if (after != AfterNorm::nothing) y = torch::relu(y);
                   return after == AfterNorm::relu_pool ? torch::max_pool2d(y, 2) : y;
                 });
}

inline torch::Tensor images(torch::Dtype type, std::int64_t n, std::int64_t c, std::int64_t h, std::int64_t w,
                            double offset = 0.7) {
  const at::Generator generator = at::detail::createCPUGenerator(11);
  return (torch::randn({n, c, h, w}, generator, torch::kFloat64) * 1.7 + offset)
      .to(type)
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

inline double distance(const torch::Tensor& a, const torch::Tensor& b) {
  return ((a.to(torch::kFloat64) - b.to(torch::kFloat64)).abs().max() /
          (1 + b.to(torch::kFloat64).abs().max()))
      .item<double>();
}

inline void expect_close(const NormResult& a, const NormResult& b, double tolerance) {
  EXPECT_LT(distance(a.y, b.y), tolerance);
  EXPECT_LT(distance(a.dx, b.dx), tolerance);
  EXPECT_LT(distance(a.dweight, b.dweight), tolerance);
  EXPECT_LT(distance(a.dbias, b.dbias), tolerance);
  EXPECT_LT(distance(a.running_mean, b.running_mean), tolerance);
  EXPECT_LT(distance(a.running_var, b.running_var), tolerance);
  ASSERT_EQ(a.dskip.defined(), b.dskip.defined());
  if (a.dskip.defined()) {
    EXPECT_LT(distance(a.dskip, b.dskip), tolerance);
  }
}

/// Of a test for (what follows, whether there is a skip).
inline std::string norm_name(const ::testing::TestParamInfo<std::tuple<AfterNorm, bool>>& info) {
  const char* const names[] = {"nothing", "relu", "relu_pool", "gelu"};
  return std::string(names[static_cast<int>(std::get<0>(info.param))]) +
         (std::get<1>(info.param) ? "_with_skip" : "");
}

}  // namespace muster::workloads::testing
