#pragma once
/// How good a fusion and each of its parts are on a set of images, in one pass.

#include <cstdint>
#include <vector>

#include "runner/communicator.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/fusion/fusion_network.hpp"

namespace muster::workloads {

struct FusedEvaluation {
  Evaluation global;                ///< the global head
  Evaluation fused;                 ///< both paths: FusionLogits::both_paths
  Evaluation experts_mean;          ///< the experts without a fusion: FusionLogits::experts_mean
  std::vector<Evaluation> experts;  ///< each expert's own head
};

/// Every image once over all ranks, as evaluate() does; collective.
FusedEvaluation evaluate_fused(FusionNetwork& network, const ImageSet& set, const BatchMaker& batches,
                               std::int64_t classes, std::int64_t batch, Communicator* communicator);

}  // namespace muster::workloads
