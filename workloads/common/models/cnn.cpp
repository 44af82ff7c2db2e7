#include "workloads/common/models/cnn.hpp"

#include <cmath>

#include "workloads/common/layers/max_pool.hpp"
#include "workloads/common/models/width.hpp"

namespace muster::workloads {
namespace {

constexpr double kDropout = 0.5;
constexpr std::int64_t kLastSide = 6;  // 32 -> 30 -> 15 -> 13 -> 6

torch::Tensor active(const torch::Tensor& x, const torch::Tensor& bias) {
  return (x + bias.to(x.scalar_type()).view({1, -1, 1, 1})).relu_();
}

}  // namespace

Cnn::Cnn(std::int64_t classes, double width, std::uint64_t seed) : dropout_(seed) {
  const std::int64_t c1 = scaled_width(32, width), c2 = scaled_width(64, width),
                     hidden = scaled_width(512, width);
  const ConvolutionOptions bare{.padding = 0};
  const auto conv = [&](const std::string& name, std::int64_t in, std::int64_t out, torch::Tensor& bias,
                        const ConvolutionOptions& options) {
    auto layer = register_module(name, Convolution(in, out, options));
    bias = register_parameter(name + "_bias", torch::zeros({out}));
    return layer;
  };
  conv1_ = conv("conv1", 3, c1, bias1_, {});
  conv2_ = conv("conv2", c1, c1, bias2_, bare);
  conv3_ = conv("conv3", c1, c2, bias3_, {});
  conv4_ = conv("conv4", c2, c2, bias4_, bare);
  dense1_ = register_module("dense1", Classifier(c2 * kLastSide * kLastSide, hidden, true));
  dense2_ = register_module("dense2", Classifier(hidden, classes, true));
}

void Cnn::adjust_first_weights() {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor parameter : parameters()) {
    if (parameter.dim() == 1) {
      parameter.zero_();
      continue;
    }
    const auto area = static_cast<double>(parameter.dim() == 4 ? parameter.size(2) * parameter.size(3) : 1);
    const double fan_in = area * static_cast<double>(parameter.size(1));
    const double fan_out = area * static_cast<double>(parameter.size(0));
    parameter.mul_(std::sqrt(6 * fan_in / (fan_in + fan_out)));
  }
}

torch::Tensor Cnn::forward(const torch::Tensor& images) {
  // The maximum is taken first: adding a bias and ReLU keep order, so the result is the same.
  torch::Tensor x = active(conv1_(images), bias1_);
  x = active(max_pool_2x2(conv2_(x)), bias2_);
  x = active(conv3_(x), bias3_);
  x = active(max_pool_2x2(conv4_(x)), bias4_);
  x = dense1_(x.flatten(1)).relu_();
  if (is_training()) x = dropout_(x, kDropout);
  return dense2_(x.to(images.scalar_type()));
}

}  // namespace muster::workloads
