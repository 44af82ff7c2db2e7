/// Pooling's kernels beside the CPU's loops.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <limits>
#include <vector>

#include "tests/workloads/gpu/gpu_training.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/layers/gpu_layers.hpp"
#include "workloads/common/layers/max_pool.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

class GpuPool : public testing::GpuTrainingTest {
 protected:
  void SetUp() override {
    testing::GpuTrainingTest::SetUp();
    if (IsSkipped()) return;
    gpu_ = compute_device(testing::kOneGpu);
    ASSERT_EQ(problem_of_gpu_layers(), "");
  }
  /// The same bits of y and of dx as on the CPU; NaNs may differ in theirs.
  void expect_as_on_cpu(const Tensor& x) const {
    const Tensor there = x.to(gpu_).requires_grad_(), here = x.clone().requires_grad_();
    const Tensor y = max_pool_2x2(there), wanted = max_pool_2x2(here);
    EXPECT_EQ(y.strides(), wanted.strides());
    EXPECT_TRUE(torch::allclose(y.cpu(), wanted, 0, 0, /*equal_nan=*/true));
    const Tensor dy = torch::linspace(-1, 2, y.numel(), torch::kFloat64).view(y.sizes()).to(x.scalar_type());
    y.backward(dy.to(gpu_));
    wanted.backward(dy);
    EXPECT_TRUE(torch::equal(there.grad().cpu(), here.grad()));
  }

  torch::Device gpu_ = torch::kCPU;
};

/// Many ties.
Tensor images(torch::Dtype type, at::IntArrayRef shape) {
  const at::Generator generator = at::detail::createCPUGenerator(5);
  return (torch::randint(-3, 4, shape, generator, torch::kFloat64) / 4)
      .to(type)
      .contiguous(torch::MemoryFormat::ChannelsLast);
}

TEST_F(GpuPool, HasTheCpusBitsForEachTypeAndShape) {
  for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kBFloat16}) {
    for (const auto& shape : std::vector<std::vector<std::int64_t>>{
             {3, 24, 31, 31}, {2, 8, 6, 4}, {1, 1, 2, 3}, {5, 17, 7, 2}, {2, 2100, 3, 3}, {7, 64, 16, 16}}) {
      SCOPED_TRACE(torch::str(type, " ", at::IntArrayRef(shape)));
      expect_as_on_cpu(images(type, shape));
    }
  }
}

TEST_F(GpuPool, PassesOnWhatIsNotFinite) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity(),
                  kNan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {kInfinity, -kInfinity, kNan}) {
    for (std::int64_t place = 0; place < 4; ++place) {
      Tensor x = images(torch::kBFloat16, {1, 8, 4, 4});
      x.select(2, place / 2).select(2, place % 2).fill_(bad);
      expect_as_on_cpu(x);
    }
  }
}

}  // namespace
}  // namespace muster::workloads
