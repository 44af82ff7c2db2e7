#pragma once
/// CUDA as far as compressors' kernels and their tests use it, on the CPU: found in place of the toolkit's
/// header of this name, it lets a .cu file be compiled as C++. Memory is the host's, and each kernel is done
/// when its launch returns.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <type_traits>

#include "tests/workloads/cuda/emulated/fiber_grid.hpp"

// NOLINTBEGIN: the names are CUDA's.
#define __global__
#define __device__
#define __grid_constant__
// Blocks run one after another, each with what the last one left behind.
#define __shared__ static

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorUnsupportedPtxVersion = 222
};
inline const char* cudaGetErrorString(cudaError_t code) {
  return code == cudaSuccess ? "no error" : "an error";
}

using cudaStream_t = struct CUstream_st*;
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned blocks) : x(blocks) {}
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  cudaStream_t stream = nullptr;
};
inline dim3 gridDim, blockDim, blockIdx, threadIdx;

template <class... Wanted, class... Given>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Wanted...),
                               Given&&... given) {
  if (config->gridDim.x == 0 || config->blockDim.x == 0 || config->blockDim.x > 1024)
    return cudaErrorInvalidConfiguration;
  gridDim = config->gridDim;
  blockDim = config->blockDim;
  muster::testing::run_grid(
      gridDim.x, blockDim.x, [&] { kernel(given...); },
      [](unsigned block, unsigned thread) {
        blockIdx.x = block;
        threadIdx.x = thread;
      });
  return cudaSuccess;
}

inline void __syncthreads() { muster::testing::wait_for_block(); }

// ---- warps, all of their lanes

template <class Value>
Value emulated_shuffle(Value value, unsigned from) {
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  const std::uint64_t* all = muster::testing::exchange_in_warp(bits);
  std::memcpy(&value, &all[from], sizeof value);
  return value;
}
template <class Value>
Value __shfl_sync(unsigned, Value value, unsigned from) {
  return emulated_shuffle(value, from % 32);
}
template <class Value>
Value __shfl_up_sync(unsigned, Value value, unsigned apart) {
  const unsigned lane = threadIdx.x % 32;
  return emulated_shuffle(value, lane >= apart ? lane - apart : lane);
}
template <class Value>
Value __shfl_down_sync(unsigned, Value value, unsigned apart) {
  const unsigned lane = threadIdx.x % 32;
  return emulated_shuffle(value, lane + apart < 32 ? lane + apart : lane);
}
inline unsigned __ballot_sync(unsigned, int holds) {
  const std::uint64_t* all = muster::testing::exchange_in_warp(holds != 0);
  unsigned bits = 0;
  for (unsigned lane = 0; lane < 32; ++lane) bits |= static_cast<unsigned>(all[lane]) << lane;
  return bits;
}
inline unsigned __reduce_add_sync(unsigned, unsigned value) {
  const std::uint64_t* all = muster::testing::exchange_in_warp(value);
  unsigned sum = 0;
  for (unsigned lane = 0; lane < 32; ++lane) sum += static_cast<unsigned>(all[lane]);
  return sum;
}
inline unsigned __reduce_max_sync(unsigned, unsigned value) {
  const std::uint64_t* all = muster::testing::exchange_in_warp(value);
  unsigned largest = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    largest = all[lane] > largest ? static_cast<unsigned>(all[lane]) : largest;
  return largest;
}

// ---- one thread

inline int __popc(unsigned bits) { return std::popcount(bits); }
inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }
inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  const unsigned before = *at;
  *at += value;
  return before;
}
inline unsigned atomicMax(unsigned* at, unsigned value) {
  const unsigned before = *at;
  *at = before > value ? before : value;
  return before;
}

// ---- memory

enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2 };
inline cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  *memory = std::malloc(bytes);
  return cudaSuccess;
}
inline cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
inline cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind) {
  if (bytes > 0) std::memcpy(to, from, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaMemset(void* memory, int value, std::size_t bytes) {
  std::memset(memory, value, bytes);
  return cudaSuccess;
}
inline cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
// NOLINTEND
