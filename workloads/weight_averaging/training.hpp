#pragma once
/// Training of one task of the weight_averaging workload on one rank.

#include "runner/workload.hpp"

namespace muster::workloads {

/// ImageTraining with an AveragingStrategy. Collective. Throws as they do.
Outcome train_by_averaging(Context& context);

}  // namespace muster::workloads
