#pragma once
/// DeviceNorm's functions as the .cu files have them: they return CUDA's code, for module.cpp to judge.

#include <cuda_runtime.h>

#include <cstddef>

#include "workloads/common/layers/cuda/device_norm.hpp"

namespace muster::workloads::device {

std::size_t norm_scratch_bytes(DeviceNormCall call);
cudaError_t norm_statistics(const void* x, DeviceNormLayer layer, double* moments, void* map,
                            DeviceNormCall call);
cudaError_t norm_apply(const void* x, const void* skip, const void* map, void* y, DeviceNormCall call);
cudaError_t norm_backward(const void* x, const void* y, const void* dy, const void* weight,
                          const double* moments, const void* map, DeviceNormGradients gradients,
                          DeviceNormCall call);

}  // namespace muster::workloads::device
