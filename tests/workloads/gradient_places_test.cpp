#include "workloads/common/layers/gradient_places.hpp"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "workloads/common/layers/convolution.hpp"

namespace muster::workloads {
namespace {

/// 3x3 with 16 channels goes through the Winograd kernels where there are any, 1x1 does not.
class GradientPlacesTest : public ::testing::TestWithParam<int> {
 protected:
  GradientPlacesTest() : layer_(16, 16, ConvolutionOptions{.kernel = GetParam(), .padding = GetParam() / 2}) {
    initialise(*layer_, 1);
    place_ = torch::full_like(weight(), std::nan(""));
  }

  const torch::Tensor& weight() const { return layer_->weight; }
  torch::Tensor loss(double factor) { return (layer_->forward(images_ * factor)).pow(2).sum(); }
  torch::Tensor expected(const torch::Tensor& of) { return torch::autograd::grad({of}, {weight()})[0]; }
  /// Same sums in the same order, so the same bits.
  static void expect_same(const torch::Tensor& found, const torch::Tensor& sound) {
    EXPECT_TRUE(found.equal(sound)) << (found - sound).abs().max();
  }

  Convolution layer_;
  torch::Tensor images_ = torch::randn({2, 16, 8, 8}, at::detail::createCPUGenerator(2));
  torch::Tensor place_;
};

TEST_P(GradientPlacesTest, GradientIsLeftThere) {
  const torch::Tensor sound = expected(loss(1));
  {
    const GradientPlaces places({weight()}, {place_});
    loss(1).backward();
  }
  EXPECT_TRUE(weight().grad().is_alias_of(place_));
  expect_same(place_, sound);
}

TEST_P(GradientPlacesTest, WeightThatIsUsedTwiceGetsTheSum) {
  const torch::Tensor sound = expected(loss(1) + loss(2));
  const GradientPlaces places({weight()}, {place_});
  (loss(1) + loss(2)).backward();
  expect_same(weight().grad(), sound);
}

TEST_P(GradientPlacesTest, GradientThatIsThereAlreadyIsAddedTo) {
  {
    const GradientPlaces places({weight()}, {place_});
    loss(1).backward();
  }
  const torch::Tensor sound = place_ + expected(loss(2));
  const GradientPlaces places({weight()}, {place_});
  loss(2).backward();
  expect_same(weight().grad(), sound);
}

TEST_P(GradientPlacesTest, WithoutOneTheGradientHasMemoryOfItsOwn) {
  { const GradientPlaces places({weight()}, {place_}); }
  loss(1).backward();
  EXPECT_FALSE(weight().grad().is_alias_of(place_));
}

INSTANTIATE_TEST_SUITE_P(Kernel, GradientPlacesTest, ::testing::Values(1, 3), [](const auto& instance) {
  return std::to_string(instance.param) + "x" + std::to_string(instance.param);
});

}  // namespace
}  // namespace muster::workloads
