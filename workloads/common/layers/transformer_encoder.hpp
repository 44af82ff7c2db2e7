#pragma once
/// The encoder of a transformer (Vaswani et al. 2017), as PyTorch's TransformerEncoder has it by default:
/// normalised after each residual sum, ReLU, dropout of 0.1. Parameters bear PyTorch's names.

#include <torch/torch.h>

#include <cstdint>
#include <vector>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/layers/dropout.hpp"

namespace muster::workloads {

/// Attention of a sequence to itself.
class SelfAttentionImpl : public torch::nn::Module {
 public:
  SelfAttentionImpl(std::int64_t width, std::int64_t heads);
  /// [n, length, width] to the same. In training the attention's weights drop out at `site`.
  torch::Tensor forward(const torch::Tensor& x, const SampleDropout& dropout, std::uint32_t site);
  /// Draws the joint projection uniform within sqrt(6 / (rows + columns)) (Glorot and Bengio 2010); biases
  /// become zero.
  void begin(at::Generator& generator);

 private:
  std::int64_t heads_;
  torch::Tensor in_weight_, in_bias_;
  Classifier out_proj_{nullptr};
};
TORCH_MODULE(SelfAttention);

/// Attention, then Linear, ReLU, Linear, each added to its input and normalised.
class TransformerEncoderLayerImpl : public torch::nn::Module {
 public:
  TransformerEncoderLayerImpl(std::int64_t width, std::int64_t heads, std::int64_t feed_forward);
  /// Drops out at kSites sites from `site` on.
  torch::Tensor forward(const torch::Tensor& x, const SampleDropout& dropout, std::uint32_t site);
  void begin(at::Generator& generator) { self_attn_->begin(generator); }

  static constexpr std::uint32_t kSites = 4;

 private:
  SelfAttention self_attn_;
  Classifier linear1_, linear2_;
  torch::nn::LayerNorm norm1_, norm2_;
};
TORCH_MODULE(TransformerEncoderLayer);

class TransformerEncoderImpl : public torch::nn::Module {
 public:
  /// Throws Error(config) where `heads` do not divide `width`.
  TransformerEncoderImpl(std::int64_t width, std::int64_t heads, std::int64_t feed_forward, int layers);
  /// [n, length, width] to the same. In training drops out at sites from `site` on.
  torch::Tensor forward(const torch::Tensor& x, const SampleDropout& dropout, std::uint32_t site);
  /// To follow `initialise`, which draws linear layers alone.
  void begin(std::uint64_t seed);

 private:
  std::vector<TransformerEncoderLayer> layers_;
};
TORCH_MODULE(TransformerEncoder);

}  // namespace muster::workloads
