#pragma once
/// A fusion's components, the experts it began with and a control on the test set, each once.

#include "core/workload_schema.hpp"
#include "runner/workload.hpp"

namespace muster::workloads {

WorkloadSchema evaluate_fusion_schema();

/// Every rank takes its share of the images; collective. Throws Error(config) for parameters that do not go
/// together, Error(data) for components, weights or data that cannot be read or do not fit one
/// another, Error(diverged) where a loss is not finite.
void evaluate_fusion(Context& context);

}  // namespace muster::workloads
