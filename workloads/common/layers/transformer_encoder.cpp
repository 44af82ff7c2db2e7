#include "workloads/common/layers/transformer_encoder.hpp"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

constexpr double kDropout = 0.1;
constexpr std::uint64_t kAttentionDraws = 0x9E3779B97F4A7C15;  // apart from those of linear layers

torch::nn::LayerNorm layer_norm(std::int64_t width) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({width}));
}

}  // namespace

SelfAttentionImpl::SelfAttentionImpl(std::int64_t width, std::int64_t heads) : heads_(heads) {
  in_weight_ = register_parameter("in_proj_weight", torch::zeros({3 * width, width}));
  in_bias_ = register_parameter("in_proj_bias", torch::zeros({3 * width}));
  out_proj_ = register_module("out_proj", Classifier(width, width, true));
}

Tensor SelfAttentionImpl::forward(const Tensor& x, const SampleDropout& dropout, std::uint32_t site) {
  const std::int64_t n = x.size(0), length = x.size(1), width = x.size(2), depth = width / heads_;
  const Tensor all = torch::linear(x, in_weight_, in_bias_).view({n, length, 3, heads_, depth});
  const auto part = [&](std::int64_t which) { return all.select(2, which).transpose(1, 2); };
  const Tensor query = part(0), key = part(1), value = part(2);  // [n, heads, length, depth]
  const Tensor scores = torch::matmul(query, key.transpose(2, 3)) / std::sqrt(static_cast<double>(depth));
  Tensor weights = torch::softmax(scores, -1);
  if (is_training()) weights = dropout(weights, kDropout, site);
  return out_proj_(torch::matmul(weights, value).transpose(1, 2).reshape({n, length, width}));
}

void SelfAttentionImpl::begin(at::Generator& generator) {
  const torch::NoGradGuard no_grad;
  const double bound = std::sqrt(6 / static_cast<double>(in_weight_.size(0) + in_weight_.size(1)));
  in_weight_.uniform_(-bound, bound, generator);
  in_bias_.zero_();
  out_proj_->bias.zero_();
}

TransformerEncoderLayerImpl::TransformerEncoderLayerImpl(std::int64_t width, std::int64_t heads,
                                                         std::int64_t feed_forward)
    : self_attn_(register_module("self_attn", SelfAttention(width, heads))),
      linear1_(register_module("linear1", Classifier(width, feed_forward, true))),
      linear2_(register_module("linear2", Classifier(feed_forward, width, true))),
      norm1_(register_module("norm1", layer_norm(width))),
      norm2_(register_module("norm2", layer_norm(width))) {}

Tensor TransformerEncoderLayerImpl::forward(const Tensor& x, const SampleDropout& dropout,
                                            std::uint32_t site) {
  const auto dropped = [&](const Tensor& y, std::uint32_t offset) {
    return is_training() ? dropout(y, kDropout, site + offset) : y;
  };
  const Tensor attended = norm1_(x + dropped(self_attn_(x, dropout, site), 1));
  const Tensor hidden = dropped(torch::relu(linear1_(attended)), 2);
  return norm2_(attended + dropped(linear2_(hidden), 3));
}

TransformerEncoderImpl::TransformerEncoderImpl(std::int64_t width, std::int64_t heads,
                                               std::int64_t feed_forward, int layers) {
  if (width % heads != 0) {
    throw Error(ExitCode::config,
                "a transformer of width " + std::to_string(width) + " cannot have " + std::to_string(heads) +
                    " heads (each takes an equal share of the width)",
                "choose a width that " + std::to_string(heads) + " divides");
  }
  auto holder = std::make_shared<torch::nn::Module>();
  for (int i = 0; i < layers; ++i) {
    layers_.push_back(
        holder->register_module(std::to_string(i), TransformerEncoderLayer(width, heads, feed_forward)));
  }
  register_module("layers", holder);
}

Tensor TransformerEncoderImpl::forward(const Tensor& x, const SampleDropout& dropout, std::uint32_t site) {
  Tensor y = x;
  for (auto& layer : layers_) {
    y = layer(y, dropout, site);
    site += TransformerEncoderLayerImpl::kSites;
  }
  return y;
}

void TransformerEncoderImpl::begin(std::uint64_t seed) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed ^ kAttentionDraws);
  for (auto& layer : layers_) layer->begin(generator);
}

}  // namespace muster::workloads
