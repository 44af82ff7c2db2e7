#pragma once
/// Data-parallel training of one task on one rank: the loop, its metrics and its checkpoints.

#include <memory>
#include <string>
#include <vector>

#include "runner/workload.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/sampling.hpp"
#include "workloads/common/schedule.hpp"
#include "workloads/common/sgd.hpp"
#include "workloads/ddp/metric_tables.hpp"
#include "workloads/ddp/parameters.hpp"

namespace muster::workloads {

/// Synchronous data parallelism (Li et al. 2020): every rank holds the whole network, takes its part of each
/// global batch, and steps with the mean of all ranks' gradients. Batch normalisation is local unless
/// `sync_bn`; rank 0's running statistics are the ones that count. Construction and run() are collective.
class DdpTraining {
 public:
  /// Loads the data, builds the network and goes to the newest checkpoint. Throws Error(config), Error(data),
  /// Error(checkpoint).
  explicit DdpTraining(Context& context);

  /// Trains to the end, or until asked to stop. Throws Error(diverged) where the loss is no longer finite.
  Outcome run();

 private:
  void begin_or_resume();
  void describe() const;
  StepFigures step();
  void finish_epoch(const StepFigures& last);
  TestFigures test();
  void save();
  void write_final_weights();
  Progress progress() const;

  Context& context_;
  Communicator& communicator_;
  DdpParameters parameters_;
  Dataset data_;
  ShardedSampler sampler_;
  BatchMaker batches_;
  Schedule schedule_;
  std::shared_ptr<Network> network_;
  Sgd optimiser_;
  std::unique_ptr<GradientExchange> exchange_;

  std::int64_t total_steps_ = 0;
  std::int64_t done_ = 0;  ///< optimiser steps
  EpochSums sums_;
  std::string note_;  ///< of the newest epoch, for the progress display
};

}  // namespace muster::workloads
