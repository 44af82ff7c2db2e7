#pragma once
/// The GPU that a test of training runs on: a real one, or an emulation of LibTorch's CUDA device.

#include <memory>
#include <string>

#include "runner/device_communicator.hpp"

namespace muster::workloads::testing {

/// Why there are not so many; empty where they are there. Ranks that are threads of a process need a GPU
/// each.
std::string missing_gpus(int wanted);
/// Between GPUs of ranks that are threads of this process; null where there is no such thing. `ranks`
/// outlives it.
std::unique_ptr<DeviceCommunicator> links_between_gpus(Communicator& ranks);
/// Collectives that have gone through such links.
int collectives_between_gpus();

}  // namespace muster::workloads::testing
