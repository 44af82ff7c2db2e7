#pragma once
/// Several experts, what joins their features, and the heads on both paths.

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/feature_network.hpp"
#include "workloads/common/models/fusion_modules.hpp"

namespace muster::workloads {

/// What a fusion says of a batch; each [n, classes].
struct FusionLogits {
  torch::Tensor global;                ///< the global head's, on the fused vector: the collaborative path
  std::vector<torch::Tensor> experts;  ///< each expert's own head's: the individual path

  /// fp64 [n, classes]: log-probabilities whose probabilities are the mean of the experts'.
  torch::Tensor experts_mean() const;
  /// Likewise, the mean of both paths: of the global head's and of experts_mean's.
  torch::Tensor both_paths() const;
};

/// Experts, fusion module and global head as one module; parameters are called "experts.I.*", "fusion.*" and
/// "global.weight" [classes, d], "global.bias" [classes].
class FusionNetwork : public torch::nn::Module {
 public:
  /// Experts in their order, of one type; takes them over. Throws as make_fusion_module does.
  FusionNetwork(std::vector<std::shared_ptr<FeatureNetwork>> experts, const std::string& fusion,
                const FusionOptions& options, std::int64_t classes, std::uint64_t seed);

  FusionLogits forward(const torch::Tensor& images);
  /// Before a training pass: which samples it sees, in order, for the dropout of fusion and experts.
  void begin_batch(std::span<const std::int64_t> samples, std::int64_t epoch);

  const std::vector<std::shared_ptr<FeatureNetwork>>& experts() const { return experts_; }
  FusionModule& fusion() const { return *fusion_; }
  Classifier& global() { return global_; }

 private:
  std::vector<std::shared_ptr<FeatureNetwork>> experts_;
  std::shared_ptr<FusionModule> fusion_;
  Classifier global_{nullptr};
};

}  // namespace muster::workloads
