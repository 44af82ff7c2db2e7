#include "tests/workloads/cuda/device_of_test.hpp"
#include "workloads/common/cuda/load_kernels.hpp"

namespace muster::testing {
std::string missing_device() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return {};
  return std::string("no GPU: ") + cudaGetErrorString(code);
}

const workloads::DeviceCompression& device_compression() {
  return workloads::load_device_compression(workloads::device_kernels_file());
}

// More tiles than are summed up at once.
std::int64_t many_elements() { return 34'000'001; }

}  // namespace muster::testing
