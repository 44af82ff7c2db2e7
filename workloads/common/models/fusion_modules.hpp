#pragma once
/// Six ways to make one vector of the features of several experts for the same images.

#include <torch/torch.h>

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/layers/dropout.hpp"
#include "workloads/common/layers/transformer_encoder.hpp"

namespace muster::workloads {

struct FusionOptions {
  std::int64_t common_width = 0;  ///< d; 0: the widest expert's
  std::int64_t hidden = 0;        ///< between the two last layers, and the encoder's feed-forward width; 0: d
};

/// Where an expert's width is not d, a linear layer brings its features to d; then a LayerNorm an expert (Ba
/// et al. 2016); then, of x_1 to x_k,
///   multiplicative: the product · multiplicativeAddition: product + sum · simpleAddition: the sum
///   multiplicativeShifted: the product of 1 + x_i · concatenation: x_1 to x_k behind one another
///   TransformerBase: the k vectors as a sequence through two encoder layers of 8 heads, the mean over it
/// and last Linear, ReLU, dropout of 0.2, Linear. Parameters, all in the module's type, are "projections.I.*"
/// (where needed), "norms.I.*", "transformer.layers.L.*" (as PyTorch's TransformerEncoder names them),
/// "mlp.0.*" and "mlp.3.*".
class FusionModule : public torch::nn::Module {
 public:
  FusionModule(const std::string& name, const std::vector<std::int64_t>& widths, const FusionOptions& options,
               std::uint64_t seed);

  /// Before a training pass: which samples it sees, in order. Dropout draws by them, the epoch and the seed
  /// alone.
  void begin_batch(std::span<const std::int64_t> samples, std::int64_t epoch) {
    dropout_.begin_batch(samples, epoch);
  }

  /// `features[i]`, [n, widths[i]] of any floating type, to [n, fused_width()] in the parameters' type.
  torch::Tensor forward(const std::vector<torch::Tensor>& features);

  /// d.
  std::int64_t fused_width() const { return last_->weight.size(0); }

  /// Draws all weights anew.
  void begin(std::uint64_t seed);

 private:
  using Combination = torch::Tensor (*)(const std::vector<torch::Tensor>&);

  Combination combine_;
  std::vector<Classifier> projections_;  ///< empty holders where the width is d
  std::vector<torch::nn::LayerNorm> norms_;
  TransformerEncoder encoder_{nullptr};
  Classifier first_{nullptr}, last_{nullptr};
  SampleDropout dropout_;
};

/// Names that make_fusion_module knows.
const std::vector<std::string>& fusion_module_names();

/// fp32 on the CPU, in training mode, weights drawn from the seed as PyTorch draws them. `widths` are the
/// experts', in order. Throws Error(config): an unknown name, no experts, a width that is not positive, or
/// for TransformerBase a d that 8 does not divide.
std::shared_ptr<FusionModule> make_fusion_module(const std::string& name,
                                                 const std::vector<std::int64_t>& widths,
                                                 const FusionOptions& options, std::uint64_t seed);

}  // namespace muster::workloads
