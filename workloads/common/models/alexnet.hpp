#pragma once
/// AlexNet's five convolutions at 3x3 for images of 32x32, each with batch normalisation: 2,255,296
/// parameters in 16 tensors for 10 classes. After Krizhevsky et al. 2012.

#include "workloads/common/models/resnet9.hpp"

namespace muster::workloads {

/// conv 64 + pool; 192 + pool; 384; 256; 256 + pool; maximum of 4x4; linear without bias, times 0.125.
class AlexNet : public Network {
 public:
  AlexNet(std::int64_t classes, double width, const BatchNormFunction& function);
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  std::vector<ConvNorm> layers_;
  Classifier linear_{nullptr};
};

}  // namespace muster::workloads
