#pragma once
/// The training of a fusion, its experts and its heads on one rank: the loop, its metrics and its
/// checkpoints.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runner/workload.hpp"
#include "workloads/common/adamw.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/sampling.hpp"
#include "workloads/common/schedule.hpp"
#include "workloads/fusion/components.hpp"
#include "workloads/fusion/fusion_network.hpp"
#include "workloads/fusion/metric_tables.hpp"
#include "workloads/fusion/parameters.hpp"

namespace muster::workloads {

/// The images that a fusion may see: it trains on the one set and chooses its best epoch by the other. Both
/// are of the hold-out, which no expert has trained on; the test set is not kept.
struct FusionData {
  std::string name;
  std::int64_t classes = 0;
  ImageSet train;
  ImageSet validation;
  ChannelStatistics statistics;  ///< those that the experts were trained with
};

/// Throws Error(data) as load_dataset and read_split do.
FusionData load_fusion_data(const FusionParameters& parameters);

/// Every rank holds the whole fusion and takes its part of each global batch; gradients are averaged while
/// the backward pass still runs. Construction and run() are collective.
class FusionTraining {
 public:
  /// Looks at data, split and experts, builds the fusion and goes to the newest checkpoint. Throws
  /// Error(config), Error(data), Error(checkpoint).
  FusionTraining(Context& context, const FusionParameters& parameters);

  /// Trains to the end, or until asked to stop. Throws Error(diverged) where the loss is no longer finite.
  Outcome run();

 private:
  void begin_or_resume();
  void describe() const;
  NamedTensors state() const;
  FusionStep step();
  std::vector<double> backward(const std::vector<torch::Tensor>& losses);
  void finish_epoch(const FusionStep& last);
  void keep_if_best(std::int64_t epoch, const FusedEvaluation& validation);
  void keep_best_tensors();
  void write_best() const;
  void save();
  Progress progress() const;

  Context& context_;
  Communicator& communicator_;
  FusionParameters parameters_;
  torch::Device device_;  ///< of network, optimisers and batches
  TensorCollectives collectives_;
  FusionData data_;
  ShardedSampler sampler_;
  BatchMaker batches_;
  FusionDescription description_;
  std::unique_ptr<FusionNetwork> network_;
  Schedule experts_schedule_;
  Schedule fusion_schedule_;
  AdamW experts_optimiser_;
  AdamW fusion_optimiser_;
  std::unique_ptr<GradientExchange> exchange_;

  std::int64_t total_steps_ = 0;
  std::int64_t done_ = 0;  ///< optimiser steps
  FusionEpochSums sums_;
  BestEpoch best_;
  NamedTensors best_tensors_;  ///< of that epoch, "best.NAME"; none yet where it is 0
  std::string note_;           ///< of the newest epoch, for the progress display
};

/// The fusion workload: parameters from the task, then FusionTraining.
Outcome train_fusion(Context& context);

}  // namespace muster::workloads
