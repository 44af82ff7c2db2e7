#pragma once
/// Convolution and linear layers whose weights are kept in one precision and used in another.

#include <torch/torch.h>

#include "workloads/common/layers/winograd_convolution.hpp"

namespace muster::workloads {

/// A weight as the arithmetic wants it: in the images' type, and channels-last where it has four dimensions.
/// Made anew only when the weight has changed, so once an optimiser step (autocast makes one for each use).
class WorkingCopy {
 public:
  /// Not differentiable. The same tensor is returned until `weight`'s version or the type changes.
  const torch::Tensor& of(const torch::Tensor& weight, torch::Dtype type);

 private:
  torch::Tensor copy_;
  const void* source_ = nullptr;
  std::uint32_t version_ = 0;
};

struct ConvolutionOptions {
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  std::int64_t padding = 1;
  std::int64_t groups = 1;  ///< each takes its share of the input's channels to its share of the output's
};

/// A square 2-d convolution without bias; `weight` [out, in / groups, kernel, kernel], contiguous,
/// initialised as PyTorch's Conv2d. Computes in the input's type; the weight's gradient has the weight's
/// type.
class ConvolutionImpl : public torch::nn::Module {
 public:
  ConvolutionImpl(std::int64_t in, std::int64_t out, ConvolutionOptions options = {});
  torch::Tensor forward(const torch::Tensor& input);

  /// From now on called in every backward pass that needs the input's gradient.
  void set_input_gradient_hook(InputGradientHook hook) { hook_ = std::move(hook); }

  torch::Tensor weight;

 private:
  ConvolutionOptions options_;
  InputGradientHook hook_;
  WorkingCopy working_;
  WinogradWeight transformed_;
};
TORCH_MODULE(Convolution);

/// `weight` [out, in], and `bias` [out] unless left out. Computes in the input's type and returns logits in
/// the weight's.
class ClassifierImpl : public torch::nn::Module {
 public:
  ClassifierImpl(std::int64_t in, std::int64_t out, bool with_bias);
  torch::Tensor forward(const torch::Tensor& features);

  torch::Tensor weight, bias;
};
TORCH_MODULE(Classifier);

/// Overwrites every convolution's and linear layer's parameters below `module` with PyTorch's default draws,
/// uniform within 1/sqrt(fan-in), from a generator of their own: the same weights on every rank, and no
/// global state.
void initialise(torch::nn::Module& module, std::uint64_t seed);

}  // namespace muster::workloads
