#include "workloads/common/models/alexnet.hpp"

#include "workloads/common/models/width.hpp"

namespace muster::workloads {

using torch::Tensor;

AlexNet::AlexNet(std::int64_t classes, double width, const BatchNormFunction& function) {
  struct Shape {
    std::int64_t channels;
    AfterNorm after;
  };
  std::int64_t in = 3;
  for (const auto& [channels, after] :
       {Shape{64, AfterNorm::relu_pool}, Shape{192, AfterNorm::relu_pool}, Shape{384, AfterNorm::relu},
        Shape{256, AfterNorm::relu}, Shape{256, AfterNorm::relu_pool}}) {
    const std::int64_t out = scaled_width(channels, width);
    layers_.push_back(register_module("layer" + std::to_string(layers_.size() + 1),
                                      ConvNorm(in, out, after, true, function)));
    in = out;
  }
  linear_ = register_module("linear", Classifier(in, classes, false));
}

Tensor AlexNet::forward(const Tensor& images) {
  Tensor x = images;
  for (auto& layer : layers_) x = layer(x);
  return linear_(torch::max_pool2d(x, 4).flatten(1)) * 0.125;
}

}  // namespace muster::workloads
