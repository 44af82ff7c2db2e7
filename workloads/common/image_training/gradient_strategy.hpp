#pragma once
/// Ranks that stay the same because all step with the same gradients.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/image_training/compressed_gradients.hpp"
#include "workloads/common/image_training/rank_strategy.hpp"

namespace muster::workloads {

struct GradientOptions {
  ExchangeOptions exchange;
  std::optional<CompressionSettings> compression;  ///< nullopt: gradients travel as they are
  bool sync_bn = false;  ///< batch normalisation over all ranks' batches; false: local, and rank 0's
                         ///< running statistics are tested and saved
};

/// `sync_bn`, `exchange.algorithm`, `exchange.bucket_mb`, and those of compression_parameter_specs().
std::vector<ParameterSpec> gradient_parameter_specs();
/// See read_compression for what becomes of `parameters` and for `even_none`. Throws Error(config).
GradientOptions read_gradient_options(const Task& task, ImageParameters& parameters, bool even_none = false);

/// `exchange.algorithm` with a default and help of its own, and its value.
ParameterSpec algorithm_spec(const char* default_value, const char* help);
ExchangeAlgorithm algorithm_of(const std::string& name);

/// Synchronous data parallelism (Li et al. 2020): every rank steps with what a GradientExchange leaves. The
/// exchange's buckets are state.
class GradientStrategy : public RankStrategy {
 public:
  explicit GradientStrategy(GradientOptions options) : options_(std::move(options)) {}

  BatchNormFunction batch_norm(Communicator& communicator) override;
  Traffic traffic(const Communicator& all) const override;
  std::vector<MetricTable> tables() const override;
  void begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) override;
  double backward(const torch::Tensor& loss) override;
  double exposed_seconds() override;
  void after_step(const StepPlace& place) override;
  void before_test() override;
  StrategyState state() const override;

 private:
  /// Collective; see CompressedGradients for the gradients.
  void make_exchange(const LoadedCheckpoint* checkpoint, const std::vector<torch::Tensor>& first_gradients);

  GradientOptions options_;
  std::optional<TrainingParts> parts_;
  std::optional<TensorCollectives> collectives_;
  std::unique_ptr<CompressedGradients> compressed_;  ///< before the exchange, which calls it
  std::unique_ptr<GradientExchange> exchange_;
};

}  // namespace muster::workloads
