#include "workloads/common/models/cifar_resnet.hpp"

#include "workloads/common/models/width.hpp"

namespace muster::workloads {

using torch::Tensor;

PlainShortcutBlockImpl::PlainShortcutBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride,
                                               const BatchNormFunction& function)
    : stride_(stride),
      more_channels_(out - in),
      conv1_(register_module("conv1", Convolution(in, out, ConvolutionOptions{3, stride, 1}))),
      bn1_(register_module("bn1", BatchNorm(out, function))),
      conv2_(register_module("conv2", Convolution(out, out))),
      bn2_(register_module("bn2", BatchNorm(out, function))) {}

Tensor PlainShortcutBlockImpl::forward(const Tensor& x) {
  Tensor skip = x;
  if (stride_ != 1) skip = skip.slice(2, 0, c10::nullopt, stride_).slice(3, 0, c10::nullopt, stride_);
  if (more_channels_ != 0) {
    const std::int64_t before = more_channels_ / 2;
    skip = torch::constant_pad_nd(skip, {0, 0, 0, 0, before, more_channels_ - before});
  }
  skip = skip.contiguous(torch::MemoryFormat::ChannelsLast);
  return bn2_(conv2_(bn1_(conv1_(x), AfterNorm::relu)), AfterNorm::relu, skip);
}

CifarResNet::CifarResNet(int blocks, std::int64_t classes, double width, const BatchNormFunction& function) {
  std::int64_t channels = scaled_width(16, width);
  conv1_ = register_module("conv1", Convolution(3, channels));
  bn1_ = register_module("bn1", BatchNorm(channels, function));
  for (int stage = 0; stage < 3; ++stage) {
    const std::int64_t out = scaled_width(std::int64_t{16} << stage, width);
    auto holder = std::make_shared<torch::nn::Module>();
    for (int i = 0; i < blocks; ++i) {
      PlainShortcutBlock block(channels, out, i == 0 && stage > 0 ? 2 : 1, function);
      holder->register_module(std::to_string(i), block.ptr());
      blocks_.push_back(block);
      channels = out;
    }
    register_module("layer" + std::to_string(stage + 1), holder);
  }
  fc_ = register_module("fc", Classifier(channels, classes, true));
}

Tensor CifarResNet::forward(const Tensor& images) {
  Tensor x = bn1_(conv1_(images), AfterNorm::relu);
  for (auto& block : blocks_) x = block(x);
  return fc_(x.mean({2, 3}));
}

}  // namespace muster::workloads
