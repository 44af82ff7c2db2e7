#pragma once
/// What differs between the ways of keeping the ranks of a training together.

#include <torch/torch.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runner/workload.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/image_training/parameters.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/optimiser.hpp"
#include "workloads/common/sampling.hpp"
#include "workloads/common/tensor_collectives.hpp"

namespace muster::workloads {

/// What a rank trains with. Outlives the strategy's use of it.
struct TrainingParts {
  Context& context;
  const ImageParameters& parameters;
  const Dataset& data;
  const BatchMaker& batches;
  ShardedSampler& sampler;
  Network& network;
  Optimiser& optimiser;
};

/// Between the ranks' networks, wherever these are. The first call is collective.
TensorCollectives collectives_of(const TrainingParts& parts);

/// A step that was just made.
struct StepPlace {
  std::int64_t step = 0;   ///< optimiser steps done
  std::int64_t epoch = 0;  ///< counts from 1
  std::int64_t steps_per_epoch = 0;
  std::int64_t total_steps = 0;
  double lr = 0;
  bool logged = false;  ///< the step has a row in the `step` table (`log_every`)
};

/// What a strategy adds to a checkpoint; names must not begin with "model.", "momentum.", "variance." or
/// "lookahead.".
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

  /// First of all: the ranks that share batches and tests between them. Fewer than all where several ranks
  /// hold one network together and see the same images. Must outlive the training.
  virtual Communicator& data_ranks(Communicator& all) { return all; }
  /// Before the network is built: its batch normalisation in training; empty: local.
  virtual BatchNormFunction batch_norm(Communicator&) { return {}; }
  /// The network as this rank holds it, before its first step, in the parameters' type.
  virtual std::shared_ptr<Network> network(const NetworkOptions& options, const ImageParameters& parameters);
  /// False where ranks hold different parts: then the first rank's weights are not given to all at the start.
  virtual bool same_network() const { return true; }
  /// Collective. What checkpoints and weights files hold in the place of these tensors of this rank, whole
  /// ones, say; and the way back. Names are "NAME" of the network's, "model.NAME" or "momentum.NAME".
  virtual NamedTensors to_file(NamedTensors tensors) { return tensors; }
  virtual void from_file(const NamedTensors& tensors, const SafetensorsFile& file);
  /// What has gone through this rank's communicators.
  virtual Traffic traffic(const Communicator& all) const { return all.traffic(); }
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
  /// Seconds of the newest step that were spent on other ranks and that no computation overlapped. On a GPU
  /// that is still at it they may count with the next.
  virtual double exposed_seconds() = 0;
  /// Once the optimiser has stepped.
  virtual void after_step(const StepPlace&) {}
  /// At the end of an epoch: its steps' losses, averaged over the ranks, in sum. `sum` adds up what
  /// backward() returned on this rank since the epoch, or the checkpoint's, began.
  virtual double epoch_loss(double sum) { return sum; }

  /// Makes the network the one that counts, to be tested or written as the final weights.
  virtual void before_test() {}
  /// The network to test and to write, once before_test() has run: `own`, or one that is made of all ranks'.
  virtual Network& tested(Network& own) { return own; }
  /// What an epoch's test found in the network that was tested, the same on every rank.
  virtual void epoch_tested(std::int64_t /*epoch*/, const Network& /*network*/,
                            const Evaluation& /*result*/) {}
  /// Back to what this rank trains.
  virtual void after_test() {}

  /// What a checkpoint must hold beside network and optimiser.
  virtual StrategyState state() const { return {}; }
};

}  // namespace muster::workloads
