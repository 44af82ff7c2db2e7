#pragma once
/// DeviceCompression's functions as the .cu files have them: they return CUDA's code, for module.cpp to
/// judge.

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "workloads/common/compression/cuda/device_compression.hpp"

namespace muster::workloads::device {

// selection.cu
std::size_t selection_scratch_bytes(std::int64_t count);
cudaError_t threshold(const float* x, std::int64_t count, std::uint32_t floor, std::uint32_t* packed,
                      DeviceCall call);
cudaError_t largest_k(const float* x, std::int64_t count, std::int64_t kept, std::uint32_t* packed,
                      DeviceCall call);
cudaError_t choose(DrawKey key, std::int64_t count, std::int64_t kept, std::uint32_t* drawn,
                   std::uint32_t* index, DeviceCall call);

// sparse.cu
cudaError_t gather(const float* x, const std::uint32_t* index, std::int64_t kept, float factor, float* packed,
                   DeviceCall call);
cudaError_t scatter_add(const std::uint32_t* index, const float* values, std::int64_t kept, float factor,
                        float* out, DeviceCall call);

// scales.cu
std::size_t scale_scratch_bytes(std::int64_t count);
cudaError_t inspect(const float* x, std::int64_t count, DeviceCall call);
cudaError_t ternary_scale(const float* x, std::int64_t count, double clip, float* scale, DeviceCall call);
cudaError_t norms(const float* x, std::int64_t count, std::int64_t bucket, float* norms, DeviceCall call);

// quantisation.cu
cudaError_t quantise(const float* x, std::int64_t count, Quantisation how, const float* limit,
                     std::uint8_t* packed, DeviceCall call);
cudaError_t dequantise_add(const std::uint8_t* packed, std::int64_t count, Quantisation how, float factor,
                           float* out, DeviceCall call);

// casts.cu
cudaError_t to_half(const float* x, std::int64_t count, std::uint16_t* packed, DeviceCall call);
cudaError_t to_bf16(const float* x, std::int64_t count, std::uint16_t* packed, DeviceCall call);
cudaError_t add_half(const std::uint16_t* packed, std::int64_t count, float factor, float* out,
                     DeviceCall call);
cudaError_t add_bf16(const std::uint16_t* packed, std::int64_t count, float factor, float* out,
                     DeviceCall call);

}  // namespace muster::workloads::device
