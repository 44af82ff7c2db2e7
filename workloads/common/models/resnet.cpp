#include "workloads/common/models/resnet.hpp"

#include "workloads/common/models/width.hpp"

namespace muster::workloads {

using torch::Tensor;

ResidualBlockImpl::ResidualBlockImpl(std::int64_t in, std::int64_t width, std::int64_t stride,
                                     bool bottleneck, const BatchNormFunction& function) {
  const auto convolution = [&](const char* name, std::int64_t from, std::int64_t to, std::int64_t kernel,
                               std::int64_t step) {
    return register_module(name, Convolution(from, to, ConvolutionOptions{kernel, step, kernel / 2}));
  };
  const auto norm = [&](const char* name, std::int64_t channels) {
    return register_module(name, BatchNorm(channels, function));
  };
  const std::int64_t out = bottleneck ? 4 * width : width;
  conv1_ = bottleneck ? convolution("conv1", in, width, 1, 1) : convolution("conv1", in, width, 3, stride);
  bn1_ = norm("bn1", width);
  conv2_ =
      bottleneck ? convolution("conv2", width, width, 3, stride) : convolution("conv2", width, width, 3, 1);
  bn2_ = norm("bn2", width);
  if (bottleneck) {
    conv3_ = convolution("conv3", width, out, 1, 1);
    bn3_ = norm("bn3", out);
  }
  if (stride != 1 || in != out) {
    torch::nn::Sequential downsample;
    projection_ = Convolution(in, out, ConvolutionOptions{1, stride, 0});
    projection_norm_ = BatchNorm(out, function);
    auto holder = std::make_shared<torch::nn::Module>();
    holder->register_module("0", projection_.ptr());
    holder->register_module("1", projection_norm_.ptr());
    register_module("downsample", holder);
  }
}

Tensor ResidualBlockImpl::forward(const Tensor& x) {
  const Tensor skip = projection_ ? projection_norm_(projection_(x), AfterNorm::nothing) : x;
  const Tensor first = bn1_(conv1_(x), AfterNorm::relu);
  if (!conv3_) return bn2_(conv2_(first), AfterNorm::relu, skip);
  return bn3_(conv3_(bn2_(conv2_(first), AfterNorm::relu)), AfterNorm::relu, skip);
}

ResNet::ResNet(const ResNetShape& shape, std::int64_t classes, double width,
               const BatchNormFunction& function) {
  std::int64_t channels = scaled_width(64, width);
  conv1_ = register_module("conv1", Convolution(3, channels));
  bn1_ = register_module("bn1", BatchNorm(channels, function));
  for (std::size_t stage = 0; stage < 4; ++stage) {
    const std::int64_t inner = scaled_width(std::int64_t{64} << stage, width);
    auto holder = std::make_shared<torch::nn::Module>();
    for (int i = 0; i < shape.blocks[stage]; ++i) {
      ResidualBlock block(channels, inner, i == 0 && stage > 0 ? 2 : 1, shape.bottleneck, function);
      holder->register_module(std::to_string(i), block.ptr());
      blocks_.push_back(block);
      channels = shape.bottleneck ? 4 * inner : inner;
    }
    register_module("layer" + std::to_string(stage + 1), holder);
  }
  fc_ = register_module("fc", Classifier(channels, classes, true));
}

Tensor ResNet::forward(const Tensor& images) {
  Tensor x = bn1_(conv1_(images), AfterNorm::relu);
  for (auto& block : blocks_) x = block(x);
  return fc_(x.mean({2, 3}));
}

}  // namespace muster::workloads
