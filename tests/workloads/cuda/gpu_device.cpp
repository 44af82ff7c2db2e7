#include <filesystem>

#include "tests/workloads/cuda/device_of_test.hpp"
#include "workloads/common/compression/cuda/load_device_compression.hpp"

namespace muster::testing {
namespace {

/// Beside a build's tests, or one folder above where a bundle has its own.
std::filesystem::path module_file() {
  const auto above = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path();
  const char* name = "muster_cuda_compression.so";
  return exists(above / name) ? above / name : above / "lib/muster" / name;
}

}  // namespace

std::string missing_device() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return {};
  return std::string("no GPU: ") + cudaGetErrorString(code);
}

const workloads::DeviceCompression& device_compression() {
  return workloads::load_device_compression(module_file());
}

// More tiles than are summed up at once.
std::int64_t many_elements() { return 34'000'001; }

}  // namespace muster::testing
