#pragma once
/// Wide residual networks (Zagoruyko and Komodakis 2016) for images of 32x32.

#include <optional>

#include "workloads/common/models/feature_network.hpp"

namespace muster::workloads {

/// Batch normalisation, ReLU and a convolution 3x3, twice, with the stride in the first; then the input is
/// added, where shapes differ convolved 1x1 after its normalisation.
class PreactivationBlockImpl : public torch::nn::Module {
 public:
  PreactivationBlockImpl(std::int64_t in, std::int64_t out, std::int64_t stride,
                         const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  BatchNorm bn1_;
  Convolution conv1_;
  BatchNorm bn2_;
  Convolution conv2_;
  Convolution projection_{nullptr};
};
TORCH_MODULE(PreactivationBlock);

struct WideResNetShape {
  int blocks = 4;           ///< of each of three stages: 6·blocks + 4 layers
  std::int64_t widen = 10;  ///< times 16, 32 and 64 channels
};

/// Of "improved_wide_resnet" (WRN-28-10: 36,479,194 parameters for 10 classes) and
/// "improved_wide_resnet_slim" (WRN-10-2); nullopt for another name.
std::optional<WideResNetShape> wide_resnet_shape(const std::string& name);

/// Without dropout. What is improved is how weights begin.
class WideResNet : public FeatureNetwork {
 public:
  WideResNet(const WideResNetShape& shape, const NetworkOptions& options);
  /// Convolutions to a variance of 2 / fan-out (He et al. 2015), the linear layer to uniform draws within
  /// sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010), its bias to zero.
  void adjust_first_weights() override;
  torch::Tensor features(const torch::Tensor& images) override;

 private:
  Convolution conv1_{nullptr};
  std::vector<PreactivationBlock> blocks_;
  BatchNorm bn1_{nullptr};
};

}  // namespace muster::workloads
