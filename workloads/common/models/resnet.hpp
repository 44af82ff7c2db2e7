#pragma once
/// ResNet-18, -34 and -50 (He et al. 2016), for images of 32x32 (stem 3x3 with stride 1, no max-pool) or as
/// torchvision has them for ImageNet. Parameters bear torchvision's names.

#include <array>
#include <functional>
#include <optional>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/feature_network.hpp"

namespace muster::workloads {

/// What a ResNet is a chain of.
class ResidualUnit : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
};

struct ResidualShape {
  std::int64_t in = 0, inner = 0, out = 0;  ///< channels
  std::int64_t stride = 1;
  bool bottleneck = false;  ///< 1x1, 3x3, 1x1 instead of two 3x3; the stride is at the first 3x3
  std::int64_t groups = 1;  ///< of a bottleneck's 3x3
};

/// Convolutions to `inner` channels and at last to `out`; the input, projected where shapes differ, is added
/// before the last ReLU.
class ResidualBlock : public ResidualUnit {
 public:
  ResidualBlock(const ResidualShape& shape, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x) override;

 private:
  Convolution conv1_{nullptr}, conv2_{nullptr}, conv3_{nullptr};
  BatchNorm bn1_{nullptr}, bn2_{nullptr}, bn3_{nullptr};
  Convolution projection_{nullptr};
  BatchNorm projection_norm_{nullptr};
};

struct ResNetShape {
  std::array<int, 4> blocks{2, 2, 2, 2};
  bool bottleneck = false;
  bool imagenet_stem = false;  ///< 7x7 with stride 2, then the maximum of 3x3 with stride 2
  std::int64_t channels = 64;  ///< of the stem
};

/// Of "resnet18", "resnet" (the same), "resnet_slim" and the like; nullopt for another name.
std::optional<ResNetShape> resnet_shape(const std::string& name);

/// Makes the block from `in` channels to `width` (to four times that in a bottleneck).
using UnitMaker =
    std::function<std::shared_ptr<ResidualUnit>(std::int64_t in, std::int64_t width, std::int64_t stride)>;

class ResNet : public FeatureNetwork {
 public:
  /// Images are first resized to `image_side` pixels, bilinearly; 0: as they are. An empty `make_unit` makes
  /// ResidualBlocks.
  ResNet(const ResNetShape& shape, const NetworkOptions& options, const UnitMaker& make_unit = {});
  torch::Tensor features(const torch::Tensor& images) override;

 private:
  std::int64_t image_side_;
  bool max_pool_;
  Convolution conv1_{nullptr};
  BatchNorm bn1_{nullptr};
  std::vector<std::shared_ptr<ResidualUnit>> blocks_;
};

}  // namespace muster::workloads
