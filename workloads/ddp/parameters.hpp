#pragma once
/// What an experiment can say to the ddp workload.

#include <cstdint>
#include <string>

#include "core/task.hpp"
#include "core/workload_schema.hpp"
#include "runner/communicator.hpp"
#include "workloads/common/schedule.hpp"

namespace muster::workloads {

struct DdpParameters {
  std::string network;
  std::int64_t width = 0;  ///< channels of the first layer; 0: the network's own
  std::string data_path;
  std::int64_t data_samples = 0;       ///< training images; 0: all (synthetic: its own number)
  std::int64_t data_test_samples = 0;  ///< likewise, of the test set
  std::int64_t data_classes = 0;       ///< of the synthetic set
  std::int64_t epochs = 0;
  std::int64_t batch = 0;  ///< images a step over all ranks
  ScheduleOptions schedule;
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;
  double label_smoothing = 0;
  std::int64_t crop_padding = 0;
  bool flip = false;
  std::int64_t cutout = 0;
  bool bf16 = false;
  bool channels_last = false;
  bool sync_bn = false;
  ExchangeAlgorithm algorithm = ExchangeAlgorithm::library;
  double bucket_mb = 0;
  std::int64_t evaluate_every = 0;
  std::int64_t log_every = 1;
  std::uint64_t seed = 0;
};

WorkloadSchema ddp_schema();

/// Throws Error(config) for values that do not go together, such as a batch that the ranks cannot share
/// evenly.
DdpParameters read_ddp_parameters(const Task& task, int ranks);

}  // namespace muster::workloads
