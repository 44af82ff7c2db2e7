#pragma once
/// The small network of Keras' CIFAR-10 example: 1,250,858 parameters in 12 tensors for 10 classes.

#include <string>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/layers/dropout.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

/// Convolutions 3x3 with bias and ReLU: 32 (padded), 32, pool, 64 (padded), 64, pool; dense 512 with ReLU,
/// dropout of one half, dense. The dropout draws from `seed` and what begin_batch said.
class Cnn : public Network {
 public:
  Cnn(std::int64_t classes, double width, std::uint64_t seed);
  /// To Keras' draws: uniform within sqrt(6 / (fan-in + fan-out)) (Glorot and Bengio 2010), biases zero.
  void adjust_first_weights() override;
  void begin_batch(std::span<const std::int64_t> samples, std::int64_t epoch) override {
    dropout_.begin_batch(samples, epoch);
  }
  torch::Tensor forward(const torch::Tensor& images) override;

 private:
  SampleDropout dropout_;
  Convolution conv1_{nullptr}, conv2_{nullptr}, conv3_{nullptr}, conv4_{nullptr};
  torch::Tensor bias1_, bias2_, bias3_, bias4_;
  Classifier dense1_{nullptr}, dense2_{nullptr};
};

}  // namespace muster::workloads
