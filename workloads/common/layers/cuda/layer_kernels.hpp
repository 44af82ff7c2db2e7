#pragma once
/// DeviceLayers' functions as the .cu files have them: they return CUDA's code, for module.cpp to judge.

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "workloads/common/layers/cuda/device_layers.hpp"

namespace muster::workloads::device {

// norm_forward.cu
std::size_t norm_scratch_bytes(DeviceLayerCall call);
cudaError_t norm_statistics(const void* x, DeviceNormLayer layer, double* moments, void* map, void* scratch,
                            DeviceLayerCall call);
cudaError_t norm_apply(const void* x, const void* skip, const void* map, AfterNorm after, void* y,
                       DeviceLayerCall call);

// norm_backward.cu
cudaError_t norm_backward(const void* x, const void* y, const void* dy, const void* weight,
                          const double* moments, const void* map, AfterNorm after,
                          DeviceNormGradients gradients, void* scratch, DeviceLayerCall call);

// max_pool.cu
cudaError_t max_pool(const void* x, void* y, std::uint8_t* which, DeviceLayerCall call);
cudaError_t max_pool_backward(const void* dy, const std::uint8_t* which, void* dx, DeviceLayerCall call);

// batch.cu
cudaError_t make_batch(const std::uint8_t* stored, const void* values, const DeviceDraw* draws,
                       DeviceBatch how, void* batch, DeviceLayerCall call);

}  // namespace muster::workloads::device
