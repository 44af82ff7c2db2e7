#pragma once
/// The training of an image classifier on one rank: the loop, its metrics and its checkpoints.

#include <memory>
#include <string>

#include "runner/workload.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/image_training/metric_tables.hpp"
#include "workloads/common/image_training/parameters.hpp"
#include "workloads/common/image_training/rank_strategy.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/optimiser.hpp"
#include "workloads/common/sampling.hpp"
#include "workloads/common/schedule.hpp"

namespace muster::workloads {

/// What a training sees of a data set.
struct TrainingData {
  Dataset data;                    ///< `train`: what it learns from; `test`: what its epochs are tested on
  ChannelStatistics statistics;    ///< by which images are normalised
  std::string tested_on = "test";  ///< see image_metric_tables
};

/// All training images, and the test set. Throws Error(data).
TrainingData load_training_data(const ImageParameters& parameters);

/// Every rank holds the whole network and takes its part of each global batch; a RankStrategy keeps the ranks
/// together. Construction and run() are collective.
class ImageTraining {
 public:
  /// Loads the data, builds the network and goes to the newest checkpoint. `strategy` must outlive it. Throws
  /// Error(config), Error(data), Error(checkpoint).
  ImageTraining(Context& context, const ImageParameters& parameters, RankStrategy& strategy);
  /// The same on data that are already there; those that the parameters name do not count.
  ImageTraining(Context& context, const ImageParameters& parameters, RankStrategy& strategy,
                TrainingData data);

  /// Trains to the end, or until asked to stop. Throws Error(diverged) where the loss is no longer finite.
  Outcome run();

 private:
  void begin_or_resume(const ChannelStatistics& statistics);
  void describe() const;
  StepFigures step();
  void finish_epoch(const StepFigures& last);
  TestFigures test(std::int64_t epoch);
  void save();
  void write_final_weights();
  Progress progress() const;
  bool logged() const { return done_ % parameters_.log_every == 0; }

  Context& context_;
  Communicator& communicator_;
  RankStrategy& strategy_;
  Communicator& data_ranks_;
  torch::Device device_;  ///< of network, optimiser and batches
  ImageParameters parameters_;
  Dataset data_;
  std::string tested_on_;
  ShardedSampler sampler_;
  BatchMaker batches_;
  Schedule schedule_;
  std::shared_ptr<Network> network_;
  std::int64_t total_steps_ = 0;
  std::unique_ptr<Optimiser> optimiser_;

  std::int64_t done_ = 0;  ///< optimiser steps
  EpochSums sums_;
  std::string note_;  ///< of the newest epoch, for the progress display
};

}  // namespace muster::workloads
