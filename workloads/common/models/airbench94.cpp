#include "workloads/common/models/airbench94.hpp"

#include <algorithm>

#include "workloads/common/data/whitening.hpp"
#include "workloads/common/layers/gelu.hpp"
#include "workloads/common/layers/max_pool.hpp"
#include "workloads/common/models/width.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

constexpr BatchNormOptions kNorm{.scale = false, .epsilon = 1e-12, .momentum = 0.4};
constexpr std::int64_t kWhitenedImages = 5000;
constexpr double kWhiteningEpsilon = 5e-4;
constexpr std::int64_t kBiasEpochs = 3;

void pass_on(Tensor weight) {
  const torch::NoGradGuard no_grad;
  const std::int64_t channels = std::min(weight.size(0), weight.size(1));
  Tensor first = weight.narrow(0, 0, channels);
  first.zero_();
  first.select(3, 1).select(2, 1).fill_diagonal_(1);
}

}  // namespace

Airbench94GroupImpl::Airbench94GroupImpl(std::int64_t in, std::int64_t out, const BatchNormFunction& function)
    : conv1_(register_module("conv1", Convolution(in, out))),
      conv2_(register_module("conv2", Convolution(out, out))),
      norm1_(register_module("norm1", BatchNorm(out, function, kNorm))),
      norm2_(register_module("norm2", BatchNorm(out, function, kNorm))) {}

void Airbench94GroupImpl::pass_on_channels() {
  pass_on(conv1_->weight);
  pass_on(conv2_->weight);
}

Tensor Airbench94GroupImpl::forward(const Tensor& x) {
  const Tensor y = norm1_(max_pool_2x2(conv1_(x)), AfterNorm::gelu);
  return norm2_(conv2_(y), AfterNorm::gelu);
}

Airbench94::Airbench94(std::int64_t classes, double width, const BatchNormFunction& function) {
  const Tensor pixels = torch::eye(kPatchSize);
  whiten_weight_ = register_buffer(
      "whiten_weight",
      torch::cat({pixels, -pixels}).view({2 * kPatchSize, kImageChannels, kPatchSide, kPatchSide}));
  whiten_bias_ = register_parameter("whiten_bias", torch::zeros({2 * kPatchSize}));
  const std::int64_t c1 = scaled_width(64, width), c2 = scaled_width(256, width);
  group1_ = register_module("group1", Airbench94Group(2 * kPatchSize, c1, function));
  group2_ = register_module("group2", Airbench94Group(c1, c2, function));
  group3_ = register_module("group3", Airbench94Group(c2, c2, function));
  linear_ = register_module("linear", Classifier(c2, classes, false));
}

void Airbench94::adjust_first_weights() {
  for (Airbench94Group group : {group1_, group2_, group3_}) group->pass_on_channels();
}

void Airbench94::fit_to(const ImageSet& train, const ChannelStatistics& statistics) {
  whiten_weight_.copy_(
      whitening_filters(patch_moments(train, kWhitenedImages, statistics), kWhiteningEpsilon));
}

void Airbench94::drop_gradients(std::int64_t epoch) {
  if (epoch >= kBiasEpochs) whiten_bias_.mutable_grad().reset();
}

Tensor Airbench94::forward(const Tensor& images) {
  const auto type = images.scalar_type();
  Tensor x = exact_gelu(torch::conv2d(images, whiten_weight_.to(type), whiten_bias_.to(type)));
  x = group3_(group2_(group1_(x)));
  return linear_(torch::max_pool2d(x, 3).flatten(1)) / 9;
}

}  // namespace muster::workloads
