#pragma once
/// DenseNet with bottlenecks and compression (Huang et al. 2017, "DenseNet-BC") for images of 32x32.

#include <array>
#include <optional>

#include "workloads/common/models/feature_network.hpp"

namespace muster::workloads {

/// Batch normalisation, ReLU and a convolution 1x1 to four times `growth`, then the same with 3x3 to `growth`
/// channels, which follow the input's.
class DenseLayerImpl : public torch::nn::Module {
 public:
  DenseLayerImpl(std::int64_t in, std::int64_t growth, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  BatchNorm norm1_;
  Convolution conv1_;
  BatchNorm norm2_;
  Convolution conv2_;
};
TORCH_MODULE(DenseLayer);

/// Between two blocks: batch normalisation, ReLU, convolution 1x1 to half the channels, mean of each 2x2.
class TransitionImpl : public torch::nn::Module {
 public:
  TransitionImpl(std::int64_t in, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  BatchNorm norm_;
  Convolution conv_;
};
TORCH_MODULE(Transition);

struct DenseNetShape {
  std::array<int, 4> layers{6, 12, 24, 16};  ///< of each block; even
  std::int64_t growth = 32;
};

/// Of "densenet" (DenseNet-121: 6,956,298 parameters for 10 classes) and "densenet_slim"; nullopt for another
/// name.
std::optional<DenseNetShape> densenet_shape(const std::string& name);

/// Stem 3x3 with stride 1 to two growths, without normalisation or pooling, as for CIFAR in the paper; four
/// blocks. Parameters bear torchvision's names.
class DenseNet : public FeatureNetwork {
 public:
  DenseNet(const DenseNetShape& shape, const NetworkOptions& options);
  torch::Tensor features(const torch::Tensor& images) override;

 private:
  Convolution conv0_{nullptr};
  std::array<std::vector<DenseLayer>, 4> blocks_;
  std::vector<Transition> transitions_;
  BatchNorm norm5_{nullptr};
};

}  // namespace muster::workloads
