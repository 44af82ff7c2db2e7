#include "workloads/common/models/resnet9.hpp"

#include "workloads/common/layers/max_pool.hpp"
#include "workloads/common/models/width.hpp"

namespace muster::workloads {

using torch::Tensor;

ConvNormImpl::ConvNormImpl(std::int64_t in, std::int64_t out, AfterNorm after, bool with_norm,
                           const BatchNormFunction& function)
    : after_(after), conv_(register_module("conv", Convolution(in, out))) {
  if (with_norm) norm_ = register_module("bn", BatchNorm(out, function));
}

Tensor ConvNormImpl::forward(const Tensor& x) {
  const Tensor y = conv_(x);
  if (norm_) return norm_(y, after_);
  const Tensor active = torch::relu(y);
  return after_ == AfterNorm::relu_pool ? max_pool_2x2(active) : active;
}

ResNet9::ResNet9(std::int64_t classes, double width, bool with_norm, const BatchNormFunction& function) {
  const auto block = [&](const char* name, std::int64_t in, std::int64_t out, AfterNorm after) {
    return register_module(name, ConvNorm(in, out, after, with_norm, function));
  };
  const std::int64_t c1 = scaled_width(64, width), c2 = scaled_width(128, width),
                     c3 = scaled_width(256, width), c4 = scaled_width(512, width);
  prep_ = block("prep", 3, c1, AfterNorm::relu);
  layer1_ = block("layer1", c1, c2, AfterNorm::relu_pool);
  residual1a_ = block("residual1a", c2, c2, AfterNorm::relu);
  residual1b_ = block("residual1b", c2, c2, AfterNorm::relu);
  layer2_ = block("layer2", c2, c3, AfterNorm::relu_pool);
  layer3_ = block("layer3", c3, c4, AfterNorm::relu_pool);
  residual3a_ = block("residual3a", c4, c4, AfterNorm::relu);
  residual3b_ = block("residual3b", c4, c4, AfterNorm::relu);
  linear_ = register_module("linear", Classifier(c4, classes, false));
}

Tensor ResNet9::forward(const Tensor& images) {
  Tensor x = layer1_(prep_(images));
  x = x + residual1b_(residual1a_(x));
  x = layer3_(layer2_(x));
  x = x + residual3b_(residual3a_(x));
  return linear_(torch::max_pool2d(x, 4).flatten(1)) * 0.125;
}

}  // namespace muster::workloads
