#pragma once
/// The `exchange.compressor` of a training: its parameters, its step by step ratio, its tables.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "workloads/common/exchange/gradient_compression.hpp"
#include "workloads/common/image_training/rank_strategy.hpp"

namespace muster::workloads {

/// What is compressed as one: each parameter's gradient, all of them in a row, or what choose_joined() finds
/// in the first step's gradients.
enum class Granularity { layerwise, entire_model, automatic };

struct CompressionSettings {
  Granularity granularity = Granularity::layerwise;
  JoinOptions join;
  double warm_up_ratio = 0;   ///< what topk and randomk keep in the first epoch; 0: no warm-up
  double warm_up_epochs = 4;  ///< until the ratio itself is reached, by equal factors (Lin et al. 2018)
  bool calibrate = false;     ///< measure the connection and the loops first, and tell what each method costs
};

/// `exchange.compressor` and what belongs to it.
std::vector<ParameterSpec> compression_parameter_specs();

/// nullopt where the compressor is "none", unless `even_none`. With momentum correction the optimiser's
/// momentum moves into the settings, and `parameters` keeps a weight decay of the same effect without
/// momentum. Throws Error(config).
std::optional<CompressionSettings> read_compression(const Task& task, ExchangeAlgorithm algorithm,
                                                    ImageParameters& parameters, bool even_none);

/// The ratio of an epoch, which counts from 0.
double ratio_at(const CompressionSettings& settings, std::int64_t epoch);

/// `compression`, `layer` with a row for each part that is compressed by itself, `cost` and `granularity`.
std::vector<MetricTable> compression_tables();

/// Drives a GradientCompression through a training.
class CompressedGradients {
 public:
  /// Of a training that begins, collective; `first_gradients` of this rank's first batch, one for each
  /// parameter, are looked at where granularity is automatic.
  CompressedGradients(const TrainingParts& parts, const CompressionSettings& settings,
                      const std::vector<torch::Tensor>& first_gradients);
  /// Of one that goes on.
  CompressedGradients(const TrainingParts& parts, const CompressionSettings& settings,
                      const LoadedCheckpoint& checkpoint);

  /// Collective where the settings ask for calibration.
  void install(ExchangeOptions& options);
  void before_backward();
  /// Writes the step's rows where it is logged.
  void after_step(const StepPlace& place);
  double exposed_seconds() const { return compression_.exposed_seconds(); }
  void add_to(StrategyState& state);

 private:
  CompressedGradients(const TrainingParts& parts, const CompressionSettings& settings, std::int64_t done,
                      JoinedParameters joined);
  void calibrate(double bucket_mb);

  Context& context_;
  CompressionSettings settings_;
  std::int64_t steps_per_epoch_;
  std::int64_t log_every_;
  std::int64_t done_ = 0;
  std::vector<std::vector<MetricValue>> costs_;  ///< rows that wait for the tables to be declared
  JoinedParameters joined_;
  GradientCompression compression_;
};

}  // namespace muster::workloads
