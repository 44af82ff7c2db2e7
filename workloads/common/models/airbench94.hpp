#pragma once
/// The network that reaches 94 % on CIFAR-10 fastest (Keller Jordan, "94% on CIFAR-10 in 3.29 Seconds on a
/// Single GPU", arXiv 2404.00498, 2024): 1,971,352 trained parameters in 14 tensors for 10 classes.

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

/// Convolution 3x3, maximum of 2x2, normalisation, GELU; convolution 3x3, normalisation, GELU. The
/// normalisation learns no scale, and a batch replaces 0.4 of its running statistics.
class Airbench94GroupImpl : public torch::nn::Module {
 public:
  Airbench94GroupImpl(std::int64_t in, std::int64_t out, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x);
  /// See Airbench94::adjust_first_weights.
  void pass_on_channels();

 private:
  Convolution conv1_, conv2_;
  BatchNorm norm1_, norm2_;
};
TORCH_MODULE(Airbench94Group);

/// A fixed convolution 2x2 to 24 channels with a bias, GELU; three groups of 64, 256 and 256 channels;
/// maximum of 3x3; linear without bias, divided by 9. `width` is of the groups.
class Airbench94 : public Network {
 public:
  Airbench94(std::int64_t classes, double width, const BatchNormFunction& function);

  /// Convolutions begin by passing on their first channels: output i is input i, where there is one (Dirac's
  /// delta). Further outputs keep PyTorch's draws.
  void adjust_first_weights() override;
  /// The first convolution becomes the whitening of the first 5,000 images' patches, epsilon 5e-4. Until then
  /// it passes on each pixel of its patch, and its negative.
  void fit_to(const ImageSet& train, const ChannelStatistics& statistics) override;
  /// The first convolution's bias learns for three epochs.
  void drop_gradients(std::int64_t epoch) override;
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  torch::Tensor whiten_weight_;  ///< a buffer: saved, not trained
  torch::Tensor whiten_bias_;
  Airbench94Group group1_{nullptr}, group2_{nullptr}, group3_{nullptr};
  Classifier linear_{nullptr};
};

}  // namespace muster::workloads
