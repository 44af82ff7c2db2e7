#pragma once
/// muster_cuda_kernels.so, loaded on demand: nothing of CUDA is in the workloads themselves.

#include <filesystem>

#include "workloads/common/compression/cuda/device_compression.hpp"
#include "workloads/common/layers/cuda/device_layers.hpp"

namespace muster::workloads {

/// Where a built and an installed tree have it, and a bundle's tests: in the folder above that of the plugin
/// or program that this code is part of.
std::filesystem::path device_kernels_file();

/// Load it for the rest of the process's life. Throw Error(workload) where the file is missing, needs a
/// library that is not there, or has another ABI.
const DeviceCompression& load_device_compression(const std::filesystem::path& file);
const DeviceLayers& load_device_layers(const std::filesystem::path& file);

}  // namespace muster::workloads
