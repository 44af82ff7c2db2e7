#pragma once
/// The device that a test of compressors' kernels runs on: a GPU, or an emulation of CUDA.

#include <cuda_runtime.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "workloads/common/compression/cuda/device_compression.hpp"

namespace muster::testing {

/// Why there is none; empty where there is one.
std::string missing_device();
const workloads::DeviceCompression& device_compression();
/// Elements of a test that wants many.
std::int64_t many_elements();

inline void require(cudaError_t code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorString(code));
}

/// Memory of the device.
template <class Element>
class DeviceMemory {
 public:
  /// What is in it means nothing, and is no zeros.
  explicit DeviceMemory(std::size_t count) : count_(count) {
    require(cudaMalloc(reinterpret_cast<void**>(&memory_), bytes() + 1));
    require(cudaMemset(memory_, 0xA5, bytes() + 1));
  }
  explicit DeviceMemory(const std::vector<Element>& values) : DeviceMemory(values.size()) {
    require(cudaMemcpy(memory_, values.data(), bytes(), cudaMemcpyHostToDevice));
  }
  ~DeviceMemory() { cudaFree(memory_); }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  Element* get() const { return memory_; }
  /// Waits for all that the device was given.
  std::vector<Element> read() const {
    std::vector<Element> values(count_);
    require(cudaMemcpy(values.data(), memory_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  std::size_t bytes() const { return count_ * sizeof(Element); }
  std::size_t count_;
  Element* memory_ = nullptr;
};

}  // namespace muster::testing
