#pragma once
/// What an experiment can say to the fusion workload.

#include <cstdint>
#include <string>
#include <vector>

#include "core/task.hpp"
#include "core/workload_schema.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/data/mixing.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/models/fusion_modules.hpp"
#include "workloads/common/precision.hpp"
#include "workloads/common/schedule.hpp"

namespace muster::workloads {

struct FusionParameters {
  std::string network;               ///< of all experts, or "mixed"
  double width = 1;                  ///< of an expert whose file does not say
  std::vector<std::string> experts;  ///< weight files, in order
  std::string split;                 ///< folder
  std::string fusion;
  FusionOptions options;
  DatasetOptions data;
  std::int64_t epochs = 0;
  std::int64_t batch = 0;  ///< images a step over all ranks
  double alpha = 1;        ///< weight of the experts' own losses
  ScheduleOptions experts_schedule;
  ScheduleOptions fusion_schedule;
  bool lr_by_input_width = false;  ///< the fusion's and the global head's rate times kReferenceWidth / d
  double weight_decay = 0;
  double clip = 0;  ///< largest norm of a step's gradient; 0: any
  MixingOptions mixing;
  AugmentationOptions augmentation;
  Precision precision;
  ExchangeOptions exchange;
  std::int64_t log_every = 1;
  std::uint64_t seed = 0;
};

/// The width, ResNet-18's, for which the fusion's learning rate is meant where lr_scale = "input_dim".
inline constexpr double kReferenceWidth = 512;

WorkloadSchema fusion_schema();

/// Throws Error(config) for values that do not go together, Error(data) for a folder of experts that is not
/// there.
FusionParameters read_fusion_parameters(const Task& task);

/// The fusion's learning rate for a fused vector of width `d`: `rate` itself, or rate * kReferenceWidth / d
/// (Adam's rate falls with the number of a layer's inputs: Yang et al. 2021, "Tensor Programs V").
double fusion_rate(double rate, bool by_input_width, std::int64_t d);

}  // namespace muster::workloads
