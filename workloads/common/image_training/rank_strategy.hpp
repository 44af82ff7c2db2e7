#pragma once
/// What differs between the ways of keeping the ranks of a training together.

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "runner/workload.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/image_training/parameters.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/sampling.hpp"
#include "workloads/common/sgd.hpp"

namespace muster::workloads {

/// What a rank trains with. Outlives the strategy's use of it.
struct TrainingParts {
  Context& context;
  const ImageParameters& parameters;
  const Dataset& data;
  const BatchMaker& batches;
  ShardedSampler& sampler;
  Network& network;
  Sgd& optimiser;
};

/// A step that was just made.
struct StepPlace {
  std::int64_t step = 0;   ///< optimiser steps done
  std::int64_t epoch = 0;  ///< counts from 1
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  double lr = 0;
  bool logged = false;  ///< the step has a row in the `step` table (`log_every`)
};

/// What a strategy adds to a checkpoint; names must not begin with "model." or "momentum.".
struct StrategyState {
  NamedTensors shared;                          ///< rank 0's count
  NamedTensors own;                             ///< each rank's
  std::map<std::string, std::string> metadata;  ///< rank 0's counts
};

/// Keeps the ranks of one ImageTraining together. Every rank has one, and all its methods are called on every
/// rank in the same order, so each may be collective.
class RankStrategy {
 public:
  virtual ~RankStrategy() = default;

  /// Before the network is built: its batch normalisation in training; empty: local.
  virtual BatchNormFunction batch_norm(Communicator&) { return {}; }
  /// Tables beside those of every training; append to them through TrainingParts::context.
  virtual std::vector<MetricTable> tables() const { return {}; }
  /// True where weights, statistics and optimiser differ between ranks in a checkpoint: each rank saves its
  /// own.
  virtual bool ranks_differ() const { return false; }

  /// Once, before the first step. `checkpoint`, if any, has been put into network and optimiser already; take
  /// back what state() added. Without one the ranks' weights are the same.
  virtual void begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) = 0;

  /// Runs the backward pass of this rank's mean loss, and leaves in every parameter's grad what the optimiser
  /// shall step with. Returns the loss by which the step is judged and logged.
  virtual double backward(const torch::Tensor& loss) = 0;
  /// Seconds of the newest step that were spent on other ranks and that no computation overlapped.
  virtual double exposed_seconds() const = 0;
  /// Once the optimiser has stepped.
  virtual void after_step(const StepPlace&) {}
  /// At the end of an epoch: its steps' losses, averaged over the ranks, in sum. `sum` adds up what
  /// backward() returned on this rank since the epoch, or the checkpoint's, began.
  virtual double epoch_loss(double sum) { return sum; }

  /// Makes the network the one that counts, to be tested or written as the final weights.
  virtual void before_test() {}
  /// Back to what this rank trains.
  virtual void after_test() {}

  /// What a checkpoint must hold beside network and optimiser.
  virtual StrategyState state() const { return {}; }
};

}  // namespace muster::workloads
