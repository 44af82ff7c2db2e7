#include "workloads/fusion/fusion_network.hpp"

#include <cmath>
#include <utility>

namespace muster::workloads {
namespace {

using torch::Tensor;

constexpr std::uint64_t kGlobalSeed = 0x676C6F62616C;  // Another generator's than the fusion module's.

std::vector<std::int64_t> widths_of(const std::vector<std::shared_ptr<FeatureNetwork>>& experts) {
  std::vector<std::int64_t> widths;
  for (const auto& expert : experts) widths.push_back(expert->feature_width());
  return widths;
}

/// Of log-probabilities, each [n, classes]: the logarithm of the mean of their probabilities.
Tensor log_of_mean(const std::vector<Tensor>& logs) {
  return torch::logsumexp(torch::stack(logs), 0) - std::log(static_cast<double>(logs.size()));
}

Tensor log_probabilities(const Tensor& logits) { return torch::log_softmax(logits.to(torch::kFloat64), 1); }

}  // namespace

Tensor FusionLogits::experts_mean() const {
  std::vector<Tensor> logs;
  for (const Tensor& logits : experts) logs.push_back(log_probabilities(logits));
  return log_of_mean(logs);
}

Tensor FusionLogits::both_paths() const { return log_of_mean({log_probabilities(global), experts_mean()}); }

FusionNetwork::FusionNetwork(std::vector<std::shared_ptr<FeatureNetwork>> experts, const std::string& fusion,
                             const FusionOptions& options, std::int64_t classes, std::uint64_t seed)
    : experts_(std::move(experts)), fusion_(make_fusion_module(fusion, widths_of(experts_), options, seed)) {
  auto list = std::make_shared<torch::nn::Module>();
  for (std::size_t i = 0; i < experts_.size(); ++i) list->register_module(std::to_string(i), experts_[i]);
  register_module("experts", list);
  register_module("fusion", fusion_);
  global_ = register_module("global", Classifier(fusion_->fused_width(), classes, true));
  initialise(*global_, seed ^ kGlobalSeed);
  to(experts_.front()->head()->weight.scalar_type());
}

FusionLogits FusionNetwork::forward(const Tensor& images) {
  FusionLogits logits;
  std::vector<Tensor> features;
  for (const auto& expert : experts_) {
    features.push_back(expert->features(images));
    logits.experts.push_back(expert->head()(features.back()));
  }
  logits.global = global_(fusion_->forward(features));
  return logits;
}

void FusionNetwork::begin_batch(std::span<const std::int64_t> samples, std::int64_t epoch) {
  for (const auto& expert : experts_) expert->begin_batch(samples, epoch);
  fusion_->begin_batch(samples, epoch);
}

}  // namespace muster::workloads
