#pragma once
/// One communicator over the GPUs of a gang.

#include <filesystem>
#include <memory>

#include "runner/comm/queued_communicator.hpp"
#include "runner/cuda/module.hpp"

namespace muster {

/// Loads the CUDA module and connects the ranks' GPUs. Every rank must call this. Throws the same Error on
/// every rank where one has no device, no module or no NCCL: Error(resources), Error(workload).
std::unique_ptr<DeviceCommunicator> connect_gpus(QueuedCommunicator& control,
                                                 const std::filesystem::path& module_file,
                                                 const DeviceCommunicatorOptions& options);

}  // namespace muster
