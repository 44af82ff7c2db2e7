#pragma once
/// A weights file and a data set in; loss, top-1, top-5, accuracy a class and confusion counts out.

#include "core/workload_schema.hpp"
#include "runner/workload.hpp"

namespace muster::workloads {

WorkloadSchema evaluate_schema();

/// Every rank takes its share of the images; collective. Throws Error(config) for parameters that do not go
/// together, Error(data) for weights or data that cannot be read or do not fit the network, Error(diverged)
/// for weights that give a loss which is not finite.
void evaluate_weights(Context& context);

}  // namespace muster::workloads
