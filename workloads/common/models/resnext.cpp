#include "workloads/common/models/resnext.hpp"

#include "workloads/common/models/width.hpp"

namespace muster::workloads {

using torch::Tensor;

std::optional<ResNeXtShape> resnext_shape(const std::string& name) {
  if (name == "resnext") return ResNeXtShape{};
  if (name == "resnext_slim")
    return ResNeXtShape{.blocks = 1, .groups = 4, .group_channels = 8, .channels = 16};
  return std::nullopt;
}

ResNeXt::ResNeXt(const ResNeXtShape& shape, const NetworkOptions& options) {
  std::int64_t channels = scaled_width(shape.channels, options.width);
  conv1_ = register_module("conv1", Convolution(3, channels));
  bn1_ = register_module("bn1", BatchNorm(channels, options.batch_norm));
  for (int stage = 0; stage < 3; ++stage) {
    const std::int64_t out = scaled_width((4 * shape.channels) << stage, options.width);
    const std::int64_t inner = scaled_width((shape.groups * shape.group_channels) << stage, options.width);
    auto holder = std::make_shared<torch::nn::Module>();
    for (int i = 0; i < shape.blocks; ++i) {
      const ResidualShape block{.in = channels,
                                .inner = inner,
                                .out = out,
                                .stride = i == 0 && stage > 0 ? 2 : 1,
                                .bottleneck = true,
                                .groups = shape.groups};
      blocks_.push_back(std::make_shared<ResidualBlock>(block, options.batch_norm));
      holder->register_module(std::to_string(i), blocks_.back());
      channels = out;
    }
    register_module("layer" + std::to_string(stage + 1), holder);
  }
  add_head(channels, options.classes);
}

Tensor ResNeXt::features(const Tensor& images) {
  Tensor x = bn1_(conv1_(images), AfterNorm::relu);
  for (const auto& block : blocks_) x = block->forward(x);
  return x.mean({2, 3});
}

}  // namespace muster::workloads
