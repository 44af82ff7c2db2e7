#pragma once
/// 3x3 convolutions on the CPU by Winograd's algorithm, in fp32 and bfloat16. See kernels/winograd.hpp.

#include <torch/torch.h>

#include <functional>

namespace muster::workloads {

/// Called in a convolution's backward pass with the input's gradient, dense and channels-last, before the
/// weight's is computed; may change it until the function that it returns, called after that, has returned.
using InputGradientHook = std::function<std::function<void()>(const torch::Tensor&)>;

/// A weight in the form that the forward pass takes, made anew only when the weight has changed.
class WinogradWeight {
 public:
  const torch::Tensor& of(const torch::Tensor& weight, torch::Dtype type);

 private:
  torch::Tensor form_;
  const void* source_ = nullptr;
  std::uint32_t version_ = 0;
};

/// Whether this CPU has kernels for such images (channels a multiple of 32, height and width even) and
/// weights [out, in, 3, 3].
bool winograd_takes(const torch::Tensor& input, const torch::Tensor& weight);

/// Stride 1, padding 1, no bias. Output and input gradient are channels-last and of the input's type; the
/// weight's gradient is summed in fp32 and not rounded to bfloat16. Differentiable once. The same bits
/// whatever the threads. `hook` may be null or empty, and must live until the backward pass has run.
torch::Tensor winograd_convolution(const torch::Tensor& input, const torch::Tensor& weight,
                                   WinogradWeight& transformed, const InputGradientHook* hook = nullptr);

}  // namespace muster::workloads
