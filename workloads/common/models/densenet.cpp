#include "workloads/common/models/densenet.hpp"

#include "workloads/common/models/width.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

const ConvolutionOptions kPointwise{.kernel = 1, .padding = 0};

}  // namespace

std::optional<DenseNetShape> densenet_shape(const std::string& name) {
  if (name == "densenet") return DenseNetShape{};
  if (name == "densenet_slim") return DenseNetShape{.layers = {2, 2, 6, 4}, .growth = 16};
  return std::nullopt;
}

DenseLayerImpl::DenseLayerImpl(std::int64_t in, std::int64_t growth, const BatchNormFunction& function)
    : norm1_(register_module("norm1", BatchNorm(in, function))),
      conv1_(register_module("conv1", Convolution(in, 4 * growth, kPointwise))),
      norm2_(register_module("norm2", BatchNorm(4 * growth, function))),
      conv2_(register_module("conv2", Convolution(4 * growth, growth))) {}

Tensor DenseLayerImpl::forward(const Tensor& x) {
  const Tensor narrowed = conv1_(norm1_(x, AfterNorm::relu));
  return torch::cat({x, conv2_(norm2_(narrowed, AfterNorm::relu))}, 1);
}

TransitionImpl::TransitionImpl(std::int64_t in, const BatchNormFunction& function)
    : norm_(register_module("norm", BatchNorm(in, function))),
      conv_(register_module("conv", Convolution(in, in / 2, kPointwise))) {}

Tensor TransitionImpl::forward(const Tensor& x) {
  return torch::avg_pool2d(conv_(norm_(x, AfterNorm::relu)), 2);
}

DenseNet::DenseNet(const DenseNetShape& shape, const NetworkOptions& options) {
  const std::int64_t growth = scaled_width(shape.growth, options.width);
  std::int64_t channels = 2 * growth;
  auto holder = std::make_shared<torch::nn::Module>();
  conv0_ = holder->register_module("conv0", Convolution(3, channels));
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (i > 0) {
      transitions_.push_back(holder->register_module("transition" + std::to_string(i),
                                                     Transition(channels, options.batch_norm)));
      channels /= 2;
    }
    auto block = std::make_shared<torch::nn::Module>();
    for (int layer = 1; layer <= shape.layers[i]; ++layer) {
      blocks_[i].push_back(block->register_module("denselayer" + std::to_string(layer),
                                                  DenseLayer(channels, growth, options.batch_norm)));
      channels += growth;
    }
    holder->register_module("denseblock" + std::to_string(i + 1), block);
  }
  norm5_ = holder->register_module("norm5", BatchNorm(channels, options.batch_norm));
  register_module("features", holder);
  add_head(channels, options.classes);
}

Tensor DenseNet::features(const Tensor& images) {
  Tensor x = conv0_(images);
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    if (i > 0) x = transitions_[i - 1](x);
    for (auto& layer : blocks_[i]) x = layer(x);
  }
  return norm5_(x, AfterNorm::relu).mean({2, 3});
}

}  // namespace muster::workloads
