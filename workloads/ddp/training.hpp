#pragma once
/// Data-parallel training of one task on one rank.

#include "core/workload_schema.hpp"
#include "runner/workload.hpp"

namespace muster::workloads {

WorkloadSchema ddp_schema();

/// Synchronous data parallelism (Li et al. 2020): every rank holds the whole network, takes its part of each
/// global batch, and steps with the mean of all ranks' gradients. Batch normalisation is local unless
/// `sync_bn`; rank 0's running statistics are the ones that count. Collective. Throws as ImageTraining, and
/// Error(config) for a batch that the ranks cannot share evenly.
Outcome train_ddp(Context& context);

}  // namespace muster::workloads
