#pragma once
/// ResNet-9 (David Page, "How to Train Your ResNet", myrtle.ai 2018): 6,573,120 parameters in 25 tensors for
/// 10 classes.

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

/// Convolution 3x3, batch normalisation (or none), ReLU, and where asked the maximum of 2x2.
class ConvNormImpl : public torch::nn::Module {
 public:
  ConvNormImpl(std::int64_t in, std::int64_t out, AfterNorm after, bool with_norm,
               const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& x);

 private:
  AfterNorm after_;
  Convolution conv_;
  BatchNorm norm_{nullptr};
};
TORCH_MODULE(ConvNorm);

/// conv 64; 128 + pool + residual of two; 256 + pool; 512 + pool + residual of two; maximum of 4x4; linear
/// without bias, times 0.125. Without batch normalisation ("plain9") sums over a batch are exact whatever the
/// ranks.
class ResNet9 : public Network {
 public:
  ResNet9(std::int64_t classes, double width, bool with_norm, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  ConvNorm prep_{nullptr}, layer1_{nullptr}, residual1a_{nullptr}, residual1b_{nullptr}, layer2_{nullptr},
      layer3_{nullptr}, residual3a_{nullptr}, residual3b_{nullptr};
  Classifier linear_{nullptr};
};

}  // namespace muster::workloads
