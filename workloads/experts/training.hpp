#pragma once
/// The training of one expert of a fusion, on one rank.

#include "core/workload_schema.hpp"
#include "runner/workload.hpp"

namespace muster::workloads {

/// The ddp workload's parameters with the defaults of experts, and `split`, `expert`, `optimiser` and mixing.
WorkloadSchema experts_schema();

/// As train_ddp, on the images that a split gives to this expert alone. Epochs are tested on its validation
/// images; the best one's weights are `expert_best.safetensors` among the artifacts. Neither the test set nor
/// the rest of the hold-out has any part in it. Collective. Throws as ImageTraining, Error(config), and
/// Error(data) where the split is not whole or not of these images; all before the first step.
Outcome train_expert(Context& context);

}  // namespace muster::workloads
