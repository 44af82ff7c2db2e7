#pragma once
/// Data-parallel training with compressed gradients, of one task on one rank.

#include "core/workload_schema.hpp"
#include "runner/workload.hpp"

namespace muster::workloads {

/// The ddp workload's parameters with the defaults of layer-wise and entire-model compression's study (Dutta
/// et al. 2020), `init_bn0` and `no_bn_weight_decay`.
WorkloadSchema compressed_schema();

/// As train_ddp; gradients always go through a compressor, "none" among them, so that every step's bytes and
/// seconds are told. Collective. Throws as ImageTraining, Error(config), and Error(diverged) naming a layer
/// whose gradient is not finite.
Outcome train_compressed(Context& context);

}  // namespace muster::workloads
