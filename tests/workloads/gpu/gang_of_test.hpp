#pragma once
/// The gang that a test of training on GPUs runs as: threads of this process, or processes below mpirun.

#include <cstdint>
#include <functional>
#include <memory>

#include "runner/device_communicator.hpp"

namespace muster::workloads::testing {

/// Calls `body` on every rank of a gang at once. As processes, each calls it for its own rank, and there is
/// no gang of another size.
void on_gang(int ranks, const std::function<void(Communicator&)>& body);
/// Whether this process has the gang's first rank, whose results count.
bool judges();
/// Collective: the same on every rank.
std::int64_t of_first_rank(std::int64_t value);

/// As this process sees it.
int gpu_of_rank(int rank);
/// Between the GPUs of the gang's ranks; null where they have none of their own. `ranks` outlives it.
std::unique_ptr<DeviceCommunicator> links_between_gpus(Communicator& ranks);

}  // namespace muster::workloads::testing
