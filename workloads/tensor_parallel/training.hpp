#pragma once
/// The tensor_parallel workload's run. docs/tensor_parallel.md describes it.

#include "runner/workload.hpp"
#include "workloads/tensor_parallel/parameters.hpp"

namespace muster::workloads {

/// Collective. Throws as ImageTraining and whole_start do.
Outcome train_tensor_parallel(Context& context);

}  // namespace muster::workloads
