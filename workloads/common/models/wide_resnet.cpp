#include "workloads/common/models/wide_resnet.hpp"

#include <cmath>

#include "workloads/common/models/width.hpp"

namespace muster::workloads {

using torch::Tensor;

std::optional<WideResNetShape> wide_resnet_shape(const std::string& name) {
  if (name == "improved_wide_resnet") return WideResNetShape{};
  if (name == "improved_wide_resnet_slim") return WideResNetShape{.blocks = 1, .widen = 2};
  return std::nullopt;
}

PreactivationBlockImpl::PreactivationBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride,
                                               const BatchNormFunction& function)
    : bn1_(register_module("bn1", BatchNorm(in, function))),
      conv1_(register_module("conv1", Convolution(in, out, ConvolutionOptions{3, stride, 1}))),
      bn2_(register_module("bn2", BatchNorm(out, function))),
      conv2_(register_module("conv2", Convolution(out, out))) {
  if (stride == 1 && in == out) return;
  auto holder = std::make_shared<torch::nn::Module>();
  projection_ = holder->register_module("0", Convolution(in, out, ConvolutionOptions{1, stride, 0}));
  register_module("downsample", holder);
}

Tensor PreactivationBlockImpl::forward(const Tensor& x) {
  const Tensor active = bn1_(x, AfterNorm::relu);
  const Tensor skip = projection_ ? projection_(active) : x;
  return conv2_(bn2_(conv1_(active), AfterNorm::relu)) + skip;
}

WideResNet::WideResNet(const WideResNetShape& shape, const NetworkOptions& options) {
  std::int64_t channels = scaled_width(16, options.width);
  conv1_ = register_module("conv1", Convolution(3, channels));
  for (int stage = 0; stage < 3; ++stage) {
    const std::int64_t out = scaled_width((16 * shape.widen) << stage, options.width);
    auto holder = std::make_shared<torch::nn::Module>();
    for (int i = 0; i < shape.blocks; ++i) {
      const std::int64_t stride = i == 0 && stage > 0 ? 2 : 1;
      blocks_.push_back(holder->register_module(
          std::to_string(i), PreactivationBlock(channels, out, stride, options.batch_norm)));
      channels = out;
    }
    register_module("layer" + std::to_string(stage + 1), holder);
  }
  bn1_ = register_module("bn1", BatchNorm(channels, options.batch_norm));
  add_head(channels, options.classes);
}

void WideResNet::adjust_first_weights() {
  const torch::NoGradGuard no_grad;
  // PyTorch's draws have a variance of 1 / (3 fan-in).
  for (auto& one : modules(false)) {
    if (auto* convolution = one->as<ConvolutionImpl>()) {
      Tensor weight = convolution->weight;
      weight.mul_(std::sqrt(6 * static_cast<double>(weight.size(1)) / static_cast<double>(weight.size(0))));
    }
  }
  Tensor weight = head()->weight;
  const auto out = static_cast<double>(weight.size(0)), in = static_cast<double>(weight.size(1));
  weight.mul_(std::sqrt(6 * in / (in + out)));
  head()->bias.zero_();
}

Tensor WideResNet::features(const Tensor& images) {
  Tensor x = conv1_(images);
  for (auto& block : blocks_) x = block(x);
  return bn1_(x, AfterNorm::relu).mean({2, 3});
}

}  // namespace muster::workloads
