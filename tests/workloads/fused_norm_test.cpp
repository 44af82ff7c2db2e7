#include "workloads/common/layers/fused_norm.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/workloads/norm_of_test.hpp"
#include "workloads/common/kernels/levels.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

using testing::distance;
using testing::expect_close;
using testing::images;
using testing::NormResult;

NormResult run(const Tensor& x, const Tensor& skip, AfterNorm after, bool fused) {
  return fused ? testing::fused(x, skip, after) : testing::composed(x, skip, after);
}

class FusedNorm : public ::testing::TestWithParam<std::tuple<AfterNorm, bool>> {};

TEST_P(FusedNorm, EqualsTheOperatorsItStandsFor) {
  const auto [after, with_skip] = GetParam();
  for (const auto& [type, tolerance] :
       {std::pair{torch::kFloat64, 1e-13}, std::pair{torch::kFloat32, 3e-5}}) {
    for (const auto& x :
         {images(type, 5, 24, 6, 4), images(type, 40, 13, 8, 8), images(type, 2, 3, 2, 2, 30)}) {
      const auto skip =
          with_skip ? images(type, x.size(0), x.size(1), x.size(2), x.size(3), -0.2) * 0.5 : Tensor();
      expect_close(run(x, skip, after, true), run(x, skip, after, false), tolerance);
    }
  }
}

// In bfloat16 the operators round between their steps: the fused form must come nearer to fp64 than they do.
TEST_P(FusedNorm, InBfloat16IsNoFartherFromFp64ThanTheOperators) {
  const auto [after, with_skip] = GetParam();
  const auto x = images(torch::kBFloat16, 16, 32, 8, 8);
  const auto skip = with_skip ? images(torch::kBFloat16, 16, 32, 8, 8, -0.2) : Tensor();
  const auto exact = run(x.to(torch::kFloat64), with_skip ? skip.to(torch::kFloat64) : skip, after, false);
  const auto fused = run(x, skip, after, true);
  const auto composed = run(x, skip, after, false);
  const auto error = [&](const Tensor& value, const Tensor& truth) {
    return (value.to(torch::kFloat64) - truth).norm().item<double>();
  };
  EXPECT_LE(error(fused.y, exact.y), 1.05 * error(composed.y, exact.y));
  EXPECT_LE(error(fused.dx, exact.dx), 1.05 * error(composed.dx, exact.dx));
  EXPECT_LE(error(fused.dweight, exact.dweight), 1.05 * error(composed.dweight, exact.dweight) + 1e-4);
}

TEST_P(FusedNorm, HasTheSameBitsWhateverTheThreads) {
  const auto [after, with_skip] = GetParam();
  const auto x = images(torch::kFloat32, 64, 16, 8, 8);
  const auto skip = with_skip ? x * 0.5 : Tensor();
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = run(x, skip, after, true);
  at::set_num_threads(3);
  const auto three = run(x, skip, after, true);
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(one.y, three.y) && torch::equal(one.dx, three.dx) &&
              torch::equal(one.dweight, three.dweight));
}

INSTANTIATE_TEST_SUITE_P(Forms, FusedNorm,
                         ::testing::Values(std::tuple{AfterNorm::nothing, false},
                                           std::tuple{AfterNorm::relu, false},
                                           std::tuple{AfterNorm::relu, true},
                                           std::tuple{AfterNorm::relu_pool, false}),
                         testing::norm_name);

TEST(BatchNorm, EvaluationUsesTheRunningStatistics) {
  BatchNorm layer(16);
  const auto x = images(torch::kFloat32, 8, 16, 4, 4);
  for (int i = 0; i < 3; ++i) layer(x, AfterNorm::relu);
  layer->eval();
  const auto with_gradient = layer(x, AfterNorm::relu_pool);
  const torch::NoGradGuard no_grad;
  EXPECT_LT(distance(layer(x, AfterNorm::relu_pool), with_gradient), 1e-6);
}

TEST(BatchNorm, WithoutAScaleTakesItsOwnEpsilonAndMomentum) {
  const auto x = images(torch::kFloat64, 8, 16, 3, 3) * 1e-3;
  BatchNorm layer(16, BatchNormFunction{},
                  BatchNormOptions{.scale = false, .epsilon = 1e-7, .momentum = 0.4});
  layer->to(torch::kFloat64);
  EXPECT_EQ(layer->parameters().size(), 1U);
  const auto mean = torch::zeros({16}, torch::kFloat64), var = torch::ones({16}, torch::kFloat64);
  const auto expect_equal = [&](bool training) {
    const auto ours = x.clone().requires_grad_(), theirs = x.clone().requires_grad_();
    const auto y = layer(ours, AfterNorm::nothing);
    const auto z = torch::batch_norm(theirs, {}, layer->bias, mean, var, training, 0.4, 1e-7, false);
    EXPECT_LT(distance(y, z), 1e-11);
    const auto ramp = torch::linspace(-1, 1, x.numel(), torch::kFloat64).view_as(x).sin();
    EXPECT_LT(distance(torch::autograd::grad({(y * ramp).sum()}, {ours})[0],
                       torch::autograd::grad({(z * ramp).sum()}, {theirs})[0]),
              1e-9);
    EXPECT_LT(distance(layer->running_mean, mean), 1e-12);
    EXPECT_LT(distance(layer->running_var, var), 1e-12);
  };
  expect_equal(true);
  expect_equal(true);
  layer->eval();
  expect_equal(false);
  const torch::NoGradGuard no_grad;
  EXPECT_LT(distance(layer(x, AfterNorm::nothing),
                     torch::batch_norm(x, {}, layer->bias, mean, var, false, 0.4, 1e-7, false)),
            1e-11);
}

TEST(BatchNorm, AGivenFunctionReplacesTheLocalStatistics) {
  int calls = 0;
  BatchNorm layer(4, [&](const Tensor& x, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                         const BatchNormOptions&) {
    ++calls;
    return x - 1;
  });
  const auto x = torch::full({1, 4, 2, 2}, 3.0);
  EXPECT_EQ(layer(x, AfterNorm::relu_pool).max().item<float>(), 2);
  layer->eval();
  layer(x, AfterNorm::relu);
  EXPECT_EQ(calls, 1);
}

#if defined(__x86_64__)
TEST(Kernels, EveryInstructionSetGivesTheSameBits) {
  const auto x = images(torch::kBFloat16, 3, 40, 4, 4).permute({0, 2, 3, 1}).contiguous();
  const auto row = torch::linspace(-1, 1, 40, torch::kFloat32);
  const auto* data = static_cast<const Bf16*>(x.const_data_ptr());
  const ChannelMap<float> map{row.const_data_ptr<float>(), row.const_data_ptr<float>()};
  std::vector<const Kernels*> sets{&base::table()};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(&avx2::table());
  if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
    sets.push_back(&avx512::table());
  std::vector<Tensor> results;
  for (const auto* set : sets) {
    const auto sums = torch::empty({4, 40}), out = torch::empty_like(x),
               pooled = torch::empty({12, 40}, torch::kBFloat16);
    float* s = sums.data_ptr<float>();
    auto* y = static_cast<Bf16*>(out.mutable_data_ptr());
    auto* p = static_cast<Bf16*>(pooled.mutable_data_ptr());
    set->norm_bf16.statistics(data, 48, 40, s, s + 40);
    set->norm_bf16.apply_pool(data, 3, 4, 4, 40, map, p);
    set->norm_bf16.backward_pool_sums(data, p, 3, 4, 4, 40, map, s, s + 80, s + 120);
    set->norm_bf16.backward_pool_apply(data, p, 3, 4, 4, 40, map, s, s + 40, s + 80, y);
    const auto w = torch::linspace(-2, 2, 1001), g = torch::linspace(3, -1, 1001),
               m = torch::linspace(0, 1, 1001);
    set->sgd_f32(w.data_ptr<float>(), g.const_data_ptr<float>(), m.data_ptr<float>(), 1001,
                 {0.1f, 0.9f, 5e-4f, true, false});
    results.push_back(torch::cat(
        {sums.flatten(), out.flatten().to(torch::kFloat32), pooled.flatten().to(torch::kFloat32), w, m}));
  }
  for (const auto& result : results) EXPECT_TRUE(torch::equal(result, results.front()));
}
#endif

}  // namespace
}  // namespace muster::workloads
