#pragma once
/// ResNet-20, -32, -44 and -56 for CIFAR (He et al. 2016, section 4.2): 0.27 to 0.85 million parameters.

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

/// Two 3x3 convolutions. Where the shape changes, the shortcut has no parameters (the paper's option A):
/// every second pixel of every second row, with the new channels at zero, half of them before the old ones
/// and half after.
class PlainShortcutBlockImpl : public torch::nn::Module {
 public:
  PlainShortcutBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride,
                         const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  std::int64_t stride_;
  std::int64_t more_channels_;
  Convolution conv1_;
  BatchNorm bn1_;
  Convolution conv2_;
  BatchNorm bn2_;
};
TORCH_MODULE(PlainShortcutBlock);

/// Stem 3x3 of 16 channels, three stages of `blocks` blocks with 16, 32 and 64 channels, mean over the image,
/// linear. 6·blocks + 2 layers. Parameters bear torchvision's names.
class CifarResNet : public Network {
 public:
  CifarResNet(int blocks, std::int64_t classes, double width, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  Convolution conv1_{nullptr};
  BatchNorm bn1_{nullptr};
  std::vector<PlainShortcutBlock> blocks_;
  Classifier fc_{nullptr};
};

}  // namespace muster::workloads
