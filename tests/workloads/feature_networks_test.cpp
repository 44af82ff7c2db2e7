// The experts' networks: what they promise beyond Network. Their numbers beside Python's: networks_test.cpp.
#include "workloads/common/models/feature_network.hpp"

#include <gtest/gtest.h>

#include "tests/workloads/data_files.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

std::int64_t parameters_of(const std::string& name) {
  std::int64_t count = 0;
  for (const auto& parameter : make_network({.name = name, .classes = 10}, 0)->parameters())
    count += parameter.numel();
  return count;
}

// The full networks' as in common PyTorch implementations of the papers; the papers say 7.0 (DenseNet-121
// with 10 classes), 36.5 and 34.4 million.
TEST(FeatureNetworks, HaveThePublishedNumbersOfParameters) {
  EXPECT_EQ(parameters_of("densenet"), 6'956'298);
  EXPECT_EQ(parameters_of("resnet"), 11'173'962);
  EXPECT_EQ(parameters_of("improved_wide_resnet"), 36'479'194);
  EXPECT_EQ(parameters_of("resnext"), 34'426'698);
}

TEST(FeatureNetworks, GiveFeaturesOfTheirWidthAndLogitsOfThose) {
  const std::map<std::string, std::int64_t> widths{{"densenet", 1024},
                                                   {"resnet", 512},
                                                   {"improved_wide_resnet", 640},
                                                   {"resnext", 1024},
                                                   {"densenet_slim", 128},
                                                   {"resnet_slim", 128},
                                                   {"improved_wide_resnet_slim", 128},
                                                   {"resnext_slim", 256}};
  const torch::NoGradGuard no_grad;
  for (const auto& name : feature_network_names()) {
    const bool slim = name.ends_with("_slim");
    const auto network = make_feature_network({.name = name, .classes = 7, .width = slim ? 1 : 0.25}, 1);
    EXPECT_EQ(network->feature_width(), slim ? widths.at(name) : widths.at(name) / 4) << name;
    network->eval();
    const Tensor images = torch::randn({2, 3, 32, 32});
    const Tensor features = network->features(images);
    EXPECT_EQ(features.sizes(), (std::vector<std::int64_t>{2, network->feature_width()})) << name;
    const Tensor logits = network->forward(images);
    EXPECT_TRUE(torch::equal(logits, network->head()(features))) << name;
    const auto parameters = network->named_parameters();
    const Tensor by_hand = torch::linear(features, parameters["fc.weight"], parameters["fc.bias"]);
    EXPECT_TRUE(torch::equal(logits, by_hand)) << name;
  }
}

TEST(FeatureNetworks, AreNotThoseWithAnotherClassifier) {
  EXPECT_EQ(testing::error_thrown_by([] { make_feature_network({.name = "resnet9"}, 0); }).code(),
            ExitCode::config);
}

TEST(FeatureNetworks, BeginWideWithHesVariance) {
  const auto p = make_network({.name = "improved_wide_resnet_slim"}, 3)->named_parameters();
  // 64 to 128 channels, 3x3: fan-out 9 * 128.
  EXPECT_NEAR(p["layer3.0.conv1.weight"].std().item<double>(), std::sqrt(2.0 / (9 * 128)), 0.0005);
  EXPECT_NEAR(p["fc.weight"].abs().max().item<double>(), std::sqrt(6.0 / (128 + 10)), 0.005);
  EXPECT_EQ(p["fc.bias"].abs().max().item<double>(), 0);
}

TEST(GroupedConvolution, EqualsConvolutionsOfItsGroups) {
  Convolution grouped(12, 8, ConvolutionOptions{.kernel = 3, .stride = 2, .padding = 1, .groups = 4});
  initialise(*grouped, 5);
  grouped->to(torch::kFloat64);
  const Tensor x = torch::randn({2, 12, 6, 6}, torch::kFloat64).requires_grad_();
  const Tensor weight = grouped->weight.detach().clone().requires_grad_();
  const Tensor y = x.detach().clone().requires_grad_();
  std::vector<Tensor> parts;
  for (std::int64_t g = 0; g < 4; ++g) {
    parts.push_back(torch::conv2d(y.slice(1, 3 * g, 3 * g + 3), weight.slice(0, 2 * g, 2 * g + 2), {}, 2, 1));
  }
  const Tensor expected = torch::cat(parts, 1), output = grouped(x);
  const Tensor cotangent = torch::randn_like(expected);
  (output * cotangent).sum().backward();
  (expected * cotangent).sum().backward();
  const auto gap = [](const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); };
  EXPECT_LT(gap(output, expected), 1e-13);
  EXPECT_LT(gap(grouped->weight.grad(), weight.grad()), 1e-12);
  EXPECT_LT(gap(x.grad(), y.grad()), 1e-13);
}

/// Winograd's kernels know no groups: 32 channels a group must not reach them.
TEST(GroupedConvolution, IsNotTakenForAPlainOne) {
  const torch::NoGradGuard no_grad;
  Convolution grouped(64, 64, ConvolutionOptions{.groups = 2});
  initialise(*grouped, 5);
  const Tensor x = torch::randn({1, 64, 8, 8});
  EXPECT_LT((grouped(x) - torch::conv2d(x, grouped->weight, {}, 1, 1, 1, 2)).abs().max().item<double>(),
            1e-5);
}

}  // namespace
}  // namespace muster::workloads
