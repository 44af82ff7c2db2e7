#pragma once
/// ResNet-18, -34 and -50 (He et al. 2016) for images of 32x32: stem 3x3 with stride 1, no max-pool.
/// Parameters bear torchvision's names.

#include <array>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

/// Two 3x3 convolutions, or 1x1, 3x3, 1x1 ("bottleneck", four times as wide at its end; stride at the 3x3);
/// the input, projected where shapes differ, is added before the last ReLU.
class ResidualBlockImpl : public torch::nn::Module {
 public:
  ResidualBlockImpl(std::int64_t in, std::int64_t width, std::int64_t stride, bool bottleneck,
                    const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  Convolution conv1_{nullptr}, conv2_{nullptr}, conv3_{nullptr};
  BatchNorm bn1_{nullptr}, bn2_{nullptr}, bn3_{nullptr};
  Convolution projection_{nullptr};
  BatchNorm projection_norm_{nullptr};
};
TORCH_MODULE(ResidualBlock);

struct ResNetShape {
  std::array<int, 4> blocks{2, 2, 2, 2};
  bool bottleneck = false;
};

class ResNet : public Network {
 public:
  ResNet(const ResNetShape& shape, std::int64_t classes, double width, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  Convolution conv1_{nullptr};
  BatchNorm bn1_{nullptr};
  std::vector<ResidualBlock> blocks_;
  Classifier fc_{nullptr};
};

}  // namespace muster::workloads
