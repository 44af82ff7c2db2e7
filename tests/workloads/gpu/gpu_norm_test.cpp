/// Batch normalisation's kernels beside the CPU's loops.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <tuple>
#include <utility>

#include "tests/workloads/gpu/gpu_training.hpp"
#include "tests/workloads/norm_of_test.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/layers/gpu_layers.hpp"

namespace muster::workloads {
namespace {

using testing::images;
using testing::kOneGpu;
using testing::NormResult;
using torch::Tensor;

class GpuNorm : public testing::GpuTrainingTest,
                public ::testing::WithParamInterface<std::tuple<AfterNorm, bool>> {
 protected:
  void SetUp() override {
    testing::GpuTrainingTest::SetUp();
    if (IsSkipped()) return;
    gpu_ = compute_device(kOneGpu);
    ASSERT_EQ(problem_of_gpu_layers(), "");
  }
  AfterNorm after() const { return std::get<0>(GetParam()); }
  Tensor skip_for(const Tensor& x) const {
    if (!std::get<1>(GetParam())) return {};
    return images(x.scalar_type(), x.size(0), x.size(1), x.size(2), x.size(3), -0.2) * 0.5;
  }
  NormResult on_gpu(const Tensor& x) const { return testing::fused(x, skip_for(x), after(), gpu_); }
  /// The loops have no GELU.
  NormResult on_cpu(const Tensor& x) const {
    return after() == AfterNorm::gelu ? testing::composed(x, {}, after())
                                      : testing::fused(x, skip_for(x), after());
  }

  torch::Device gpu_ = torch::kCPU;
};

TEST_P(GpuNorm, EqualsTheCpus) {
  for (const auto& [type, tolerance] : {std::pair{torch::kFloat64, 1e-13}, {torch::kFloat32, 3e-5}}) {
    for (const auto& x :
         {images(type, 5, 24, 6, 4), images(type, 40, 13, 8, 8), images(type, 2, 3, 2, 2, 30),
          // Several slabs; more channels than a block has threads for; one row in many.
          images(type, 9, 64, 16, 16), images(type, 3, 1200, 4, 2), images(type, 1, 8, 2, 2, -3)})
      testing::expect_close(on_gpu(x), on_cpu(x), tolerance);
  }
}

// Sums in another order round otherwise, and then so do a few results; none goes farther from the truth.
TEST_P(GpuNorm, InBfloat16IsAsNearToFp64AsTheCpus) {
  const auto x = images(torch::kBFloat16, 16, 40, 8, 8);
  const auto exact = testing::composed(
      x.to(torch::kFloat64), skip_for(x).defined() ? skip_for(x).to(torch::kFloat64) : Tensor(), after());
  const auto found = on_gpu(x), wanted = on_cpu(x);
  const auto error = [](const Tensor& value, const Tensor& truth) {
    return (value.to(torch::kFloat64) - truth).norm().item<double>();
  };
  EXPECT_LE(error(found.y, exact.y), 1.01 * error(wanted.y, exact.y));
  EXPECT_LE(error(found.dx, exact.dx), 1.01 * error(wanted.dx, exact.dx));
  EXPECT_LE(error(found.dweight, exact.dweight), 1.05 * error(wanted.dweight, exact.dweight) + 1e-4);
  EXPECT_LE(error(found.dbias, exact.dbias), 1.05 * error(wanted.dbias, exact.dbias) + 1e-4);
}

// Memory that is not aligned to vectors is taken value by value.
TEST_P(GpuNorm, TakesImagesThatBeginAnywhere) {
  const auto x = images(torch::kFloat32, 3, 8, 4, 4);
  const auto memory = torch::empty({x.numel() + 1}, x.options().device(gpu_));
  const auto shifted = memory.slice(0, 1).view({3, 4, 4, 8}).permute({0, 3, 1, 2});
  shifted.copy_(x);
  const torch::NoGradGuard no_grad;
  const auto ones = torch::ones({8}), zeros = torch::zeros({8});
  const auto y = fused_norm_evaluation(shifted, ones.to(gpu_), zeros.to(gpu_), zeros.to(gpu_), ones.to(gpu_),
                                       after(), {});
  BatchNorm layer(8);
  layer->eval();
  EXPECT_LT(testing::distance(y.cpu(), layer(x, after())), 1e-5);
}

TEST_P(GpuNorm, HasTheSameBitsEachTime) {
  const auto x = images(torch::kFloat32, 12, 16, 16, 16);
  const auto one = on_gpu(x), again = on_gpu(x);
  EXPECT_TRUE(torch::equal(one.y, again.y) && torch::equal(one.dx, again.dx) &&
              torch::equal(one.dweight, again.dweight) && torch::equal(one.running_var, again.running_var));
}

TEST_P(GpuNorm, IsTakenForChannelsLastImagesAlone) {
  const auto x = images(torch::kBFloat16, 2, 8, 4, 4).to(gpu_);
  EXPECT_TRUE(fused_norm_takes(x, after()));
  EXPECT_FALSE(fused_norm_takes(x.contiguous(), after()));
  EXPECT_FALSE(fused_norm_takes(x.to(torch::kFloat16), after()));
  EXPECT_FALSE(fused_norm_takes(x.flatten(1), after()));
}

INSTANTIATE_TEST_SUITE_P(Forms, GpuNorm,
                         ::testing::Values(std::tuple{AfterNorm::nothing, false},
                                           std::tuple{AfterNorm::relu, false},
                                           std::tuple{AfterNorm::relu, true},
                                           std::tuple{AfterNorm::relu_pool, false},
                                           std::tuple{AfterNorm::gelu, false}),
                         testing::norm_name);

}  // namespace
}  // namespace muster::workloads
