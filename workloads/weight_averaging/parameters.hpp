#pragma once
/// What an experiment can say to the weight_averaging workload.

#include <cstdint>

#include "core/task.hpp"
#include "core/workload_schema.hpp"
#include "runner/communicator.hpp"
#include "workloads/common/image_training/parameters.hpp"

namespace muster::workloads {

struct AveragingOptions {
  std::int64_t period = 8;        ///< steps between averages; 0: an epoch
  double switch_epoch = 6;        ///< averages follow every step until then
  bool average_momentum = false;  ///< momentum buffers too; false: each rank keeps its own
  double outer_lr = 1;            ///< 1 with outer_momentum 0: the average itself
  double outer_momentum = 0;
  bool outer_nesterov = false;
  std::int64_t norm_batches = 16;  ///< of a rank, to estimate batch normalisation's statistics anew; 0: the
                                   ///< ranks' running statistics are averaged
  ExchangeAlgorithm algorithm = ExchangeAlgorithm::ring;
};

WorkloadSchema weight_averaging_schema();

/// The training's parameters, with the ranks' split. Throws Error(config) for values that do not go together.
ImageParameters read_training_parameters(const Task& task, int ranks);

AveragingOptions read_averaging_options(const Task& task);

}  // namespace muster::workloads
