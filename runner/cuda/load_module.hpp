#pragma once
/// muster_cuda.so, loaded on demand: nothing of CUDA is in the runner itself.

#include <filesystem>

#include "runner/comm/queued_communicator.hpp"
#include "runner/cuda/module.hpp"

namespace muster {

/// Where a built and an installed tree have it, seen from this program: ../lib/muster/muster_cuda.so.
std::filesystem::path cuda_module_file();

/// Loads it for the rest of the process's life. Throws Error(workload) where the file is missing, needs a
/// library that is not there, or has another ABI.
const CudaModule& load_cuda_module(const std::filesystem::path& file);

/// The same on every rank, ready to connect their GPUs; `device` is this rank's. Every rank must call this.
/// Throws the same Error on every rank where one has no module, no NCCL or no such device: Error(workload),
/// Error(resources).
const CudaModule& load_cuda_module_everywhere(QueuedCommunicator& control, const std::filesystem::path& file,
                                              int device);

}  // namespace muster
