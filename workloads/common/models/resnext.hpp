#pragma once
/// ResNeXt (Xie et al. 2017, section 5.3) for images of 32x32.

#include <optional>

#include "workloads/common/models/resnet.hpp"

namespace muster::workloads {

struct ResNeXtShape {
  int blocks = 3;  ///< of each of three stages: 9·blocks + 2 layers
  std::int64_t groups = 8;
  std::int64_t group_channels = 64;  ///< in the first stage
  std::int64_t channels = 64;        ///< of the stem; the stages give 4, 8 and 16 times as many
};

/// Of "resnext" (ResNeXt-29 8x64d: 34,426,698 parameters for 10 classes) and "resnext_slim"; nullopt for
/// another name.
std::optional<ResNeXtShape> resnext_shape(const std::string& name);

/// ResNet's bottlenecks with their 3x3 convolution in groups. Parameters bear torchvision's names.
class ResNeXt : public FeatureNetwork {
 public:
  ResNeXt(const ResNeXtShape& shape, const NetworkOptions& options);
  torch::Tensor features(const torch::Tensor& images) override;

 private:
  Convolution conv1_{nullptr};
  BatchNorm bn1_{nullptr};
  std::vector<std::shared_ptr<ResidualBlock>> blocks_;
};

}  // namespace muster::workloads
