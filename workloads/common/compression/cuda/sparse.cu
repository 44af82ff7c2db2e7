#include <cuda_runtime.h>

#include "workloads/common/compression/cuda/kernels.hpp"
#include "workloads/common/cuda/launch.cuh"

namespace muster::workloads::device {
namespace {

__global__ void take(const float* __restrict__ x, const std::uint32_t* __restrict__ index, std::int64_t kept,
                     float factor, float* __restrict__ packed) {
  for (std::int64_t i = thread_of_grid(); i < kept; i += threads_of_grid()) packed[i] = x[index[i]] * factor;
}

__global__ void put(const std::uint32_t* __restrict__ index, const float* __restrict__ values,
                    std::int64_t kept, float factor, float* __restrict__ out) {
  for (std::int64_t i = thread_of_grid(); i < kept; i += threads_of_grid())
    out[index[i]] += factor * values[i];
}

}  // namespace

cudaError_t gather(const float* x, const std::uint32_t* index, std::int64_t kept, float factor, float* packed,
                   DeviceCall call) {
  Launches launches(call.stream);
  launches.run(striding_blocks(kept), kThreads, take, x, index, kept, factor, packed);
  return launches.result();
}

cudaError_t scatter_add(const std::uint32_t* index, const float* values, std::int64_t kept, float factor,
                        float* out, DeviceCall call) {
  Launches launches(call.stream);
  launches.run(striding_blocks(kept), kThreads, put, index, values, kept, factor, out);
  return launches.result();
}

}  // namespace muster::workloads::device
