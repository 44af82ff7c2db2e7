#include "workloads/common/models/resnet.hpp"

#include "workloads/common/models/width.hpp"

namespace muster::workloads {

using torch::Tensor;

std::optional<ResNetShape> resnet_shape(const std::string& name) {
  if (name == "resnet18" || name == "resnet") return ResNetShape{{2, 2, 2, 2}};
  if (name == "resnet_slim") return ResNetShape{.blocks = {1, 1, 1, 1}, .channels = 16};
  if (name == "resnet34") return ResNetShape{{3, 4, 6, 3}};
  if (name == "resnet50") return ResNetShape{{3, 4, 6, 3}, true};
  if (name == "imagenet_resnet18") return ResNetShape{{2, 2, 2, 2}, false, true};
  if (name == "imagenet_resnet34") return ResNetShape{{3, 4, 6, 3}, false, true};
  return std::nullopt;
}

ResidualBlock::ResidualBlock(const ResidualShape& shape, const BatchNormFunction& function) {
  const auto [in, inner, out, stride, bottleneck, groups] = shape;
  const auto convolution = [&](const char* name, std::int64_t from, std::int64_t to,
                               const ConvolutionOptions& options) {
    return register_module(name, Convolution(from, to, options));
  };
  const auto norm = [&](const char* name, std::int64_t channels) {
    return register_module(name, BatchNorm(channels, function));
  };
  const ConvolutionOptions pointwise{1, 1, 0};
  if (bottleneck) {
    conv1_ = convolution("conv1", in, inner, pointwise);
    bn1_ = norm("bn1", inner);
    conv2_ = convolution("conv2", inner, inner, {3, stride, 1, groups});
    bn2_ = norm("bn2", inner);
    conv3_ = convolution("conv3", inner, out, pointwise);
    bn3_ = norm("bn3", out);
  } else {
    conv1_ = convolution("conv1", in, inner, {3, stride, 1});
    bn1_ = norm("bn1", inner);
    conv2_ = convolution("conv2", inner, out, {});
    bn2_ = norm("bn2", out);
  }
  if (stride == 1 && in == out) return;
  auto holder = std::make_shared<torch::nn::Module>();
  projection_ = holder->register_module("0", Convolution(in, out, ConvolutionOptions{1, stride, 0}));
  projection_norm_ = holder->register_module("1", BatchNorm(out, function));
  register_module("downsample", holder);
}

Tensor ResidualBlock::forward(const Tensor& x) {
  const Tensor skip = projection_ ? projection_norm_(projection_(x), AfterNorm::nothing) : x;
  const Tensor first = bn1_(conv1_(x), AfterNorm::relu);
  if (!conv3_) return bn2_(conv2_(first), AfterNorm::relu, skip);
  return bn3_(conv3_(bn2_(conv2_(first), AfterNorm::relu)), AfterNorm::relu, skip);
}

ResNet::ResNet(const ResNetShape& shape, const NetworkOptions& options, const UnitMaker& make_unit)
    : image_side_(options.image_side), max_pool_(shape.imagenet_stem) {
  const UnitMaker whole_block = [&](std::int64_t in, std::int64_t width, std::int64_t stride) {
    const std::int64_t out = shape.bottleneck ? 4 * width : width;
    return std::make_shared<ResidualBlock>(ResidualShape{in, width, out, stride, shape.bottleneck},
                                           options.batch_norm);
  };
  const UnitMaker& make = make_unit ? make_unit : whole_block;
  std::int64_t channels = scaled_width(shape.channels, options.width);
  const auto stem = shape.imagenet_stem ? ConvolutionOptions{7, 2, 3} : ConvolutionOptions{3, 1, 1};
  conv1_ = register_module("conv1", Convolution(3, channels, stem));
  bn1_ = register_module("bn1", BatchNorm(channels, options.batch_norm));
  for (std::size_t stage = 0; stage < 4; ++stage) {
    const std::int64_t inner = scaled_width(shape.channels << stage, options.width);
    auto holder = std::make_shared<torch::nn::Module>();
    for (int i = 0; i < shape.blocks[stage]; ++i) {
      blocks_.push_back(make(channels, inner, i == 0 && stage > 0 ? 2 : 1));
      holder->register_module(std::to_string(i), blocks_.back());
      channels = shape.bottleneck ? 4 * inner : inner;
    }
    register_module("layer" + std::to_string(stage + 1), holder);
  }
  add_head(channels, options.classes);
}

Tensor ResNet::features(const Tensor& images) {
  Tensor x = images;
  if (image_side_ > 0 && image_side_ != images.size(2))
    x = torch::upsample_bilinear2d(x, {image_side_, image_side_}, /*align_corners=*/false);
  x = bn1_(conv1_(x), AfterNorm::relu);
  if (max_pool_) x = torch::max_pool2d(x, 3, 2, 1);
  for (const auto& block : blocks_) x = block->forward(x);
  return x.mean({2, 3});
}

}  // namespace muster::workloads
