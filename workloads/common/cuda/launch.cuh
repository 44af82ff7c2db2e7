#pragma once
/// What all kernels share: how they are put on a stream, and what the threads of a warp do together.

#include <cuda_runtime.h>

#include <cstdint>

namespace muster::workloads::device {

constexpr unsigned kThreads = 256;
constexpr unsigned kLanes = 32;
constexpr unsigned kWarps = kThreads / kLanes;
constexpr unsigned kAll = 0xFFFFFFFF;       // lanes
constexpr std::int64_t kMostBlocks = 1024;  // of kernels whose blocks go through all elements by strides

/// Kernels on one stream, in order; the first failure is kept, and nothing is launched behind it.
class Launches {
 public:
  explicit Launches(void* stream) : stream_(static_cast<cudaStream_t>(stream)) {}

  template <class... Wanted, class... Given>
  void run(std::int64_t blocks, unsigned threads, void (*kernel)(Wanted...), Given... given) {
    if (result_ != cudaSuccess || blocks == 0) return;
    cudaLaunchConfig_t config{};
    config.gridDim = dim3(static_cast<unsigned>(blocks));
    config.blockDim = dim3(threads);
    config.stream = stream_;
    result_ = cudaLaunchKernelEx(&config, kernel, static_cast<Wanted>(given)...);
  }
  cudaError_t result() const { return result_; }

 private:
  cudaStream_t stream_;
  cudaError_t result_ = cudaSuccess;
};

inline std::int64_t parts_of(std::int64_t count, std::int64_t of_each) {
  return (count + of_each - 1) / of_each;
}
/// Blocks for a kernel that goes by strides.
inline std::int64_t striding_blocks(std::int64_t count) {
  const std::int64_t blocks = parts_of(count, kThreads);
  return blocks < kMostBlocks ? blocks : kMostBlocks;
}

__device__ inline unsigned lane_of_thread() { return threadIdx.x % kLanes; }
__device__ inline std::int64_t thread_of_grid() {
  return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t threads_of_grid() { return std::int64_t{gridDim.x} * blockDim.x; }

}  // namespace muster::workloads::device
