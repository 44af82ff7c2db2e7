#pragma once
/// What an experiment can say to the tensor_parallel workload.

#include <memory>
#include <string>
#include <vector>

#include "core/task.hpp"
#include "core/workload_schema.hpp"
#include "workloads/common/image_training/parameters.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

struct TensorParallelOptions {
  bool federated = false;
  int ranks_per_network = 0;          ///< ranks that hold one network together; 0: all
  std::int64_t round_epochs = 1;      ///< of federated rounds
  bool rebalance = false;             ///< federated: re-estimate bn2 after concatenation
  std::int64_t rebalance_images = 0;  ///< on so many training images
  std::string pretrained;             ///< a weights file; "none": drawn from the seed
  std::vector<std::string>
      pretrained_may_differ;  ///< parameters that keep the seed's draws where shapes differ
};

WorkloadSchema tensor_parallel_schema();
/// Throws Error(config) for values that do not go together.
TensorParallelOptions read_tensor_parallel_options(const Task& task);

/// The network before it is split: of the seed, and then of the pretrained weights, in the parameters' type.
/// Throws Error(data) where those cannot be read or do not fit. `log` gets a line on what was loaded.
std::shared_ptr<Network> whole_start(const NetworkOptions& network, const ImageParameters& parameters,
                                     const TensorParallelOptions& options, std::string& log);

}  // namespace muster::workloads
