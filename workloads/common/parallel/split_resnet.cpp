#include "workloads/common/parallel/split_resnet.hpp"

#include "core/error.hpp"

namespace muster::workloads {

using torch::Tensor;

SplitBlock::SplitBlock(std::int64_t in, std::int64_t width, std::int64_t stride, const RankGroup& group)
    : conv1_(register_module("conv1",
                             ColumnSplitConvolution(in, width, ConvolutionOptions{3, stride, 1}, group))),
      bn1_(register_module("bn1", BatchNorm(group.part_of(width).length))),
      conv2_(register_module("conv2", RowSplitConvolution(width, width, ConvolutionOptions{}, group))),
      bn2_(register_module("bn2", BatchNorm(width))) {
  if (stride == 1 && in == width) return;
  projection_ = Convolution(in, width, ConvolutionOptions{1, stride, 0});
  projection_norm_ = BatchNorm(width);
  auto holder = std::make_shared<torch::nn::Module>();
  holder->register_module("0", projection_.ptr());
  holder->register_module("1", projection_norm_.ptr());
  register_module("downsample", holder);
}

Tensor SplitBlock::forward(const Tensor& x) {
  PartialResult second = conv2_->begin(bn1_(conv1_(x), AfterNorm::relu));
  const Tensor skip = projection_ ? projection_norm_(projection_(x), AfterNorm::nothing) : x;
  return bn2_(second.whole(), AfterNorm::relu, skip);
}

std::shared_ptr<Network> make_split_resnet(const NetworkOptions& options, const RankGroup& group) {
  const auto shape = resnet_shape(options.name);
  if (!shape || shape->bottleneck) {
    throw Error(ExitCode::config, "'" + options.name + "' cannot be split by channel",
                "use resnet18, resnet34, imagenet_resnet18 or imagenet_resnet34");
  }
  return std::make_shared<ResNet>(*shape, options,
                                  [&](std::int64_t in, std::int64_t width, std::int64_t stride) {
                                    return std::make_shared<SplitBlock>(in, width, stride, group);
                                  });
}

std::vector<std::pair<std::string, SplitBlock*>> split_blocks(torch::nn::Module& network) {
  std::vector<std::pair<std::string, SplitBlock*>> blocks;
  for (const auto& item : network.named_modules()) {
    if (auto* block = item.value()->as<SplitBlock>()) blocks.emplace_back(item.key(), block);
  }
  return blocks;
}

}  // namespace muster::workloads
