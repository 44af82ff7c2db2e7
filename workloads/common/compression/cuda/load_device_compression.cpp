#include "workloads/common/compression/cuda/load_device_compression.hpp"

#include <dlfcn.h>

#include "core/error.hpp"
#include "core/shared_object.hpp"

namespace muster::workloads {

std::filesystem::path device_compression_file() {
  Dl_info info{};
  MUSTER_ASSERT(dladdr(reinterpret_cast<const void*>(&device_compression_file), &info) != 0);
  return std::filesystem::canonical(info.dli_fname).parent_path().parent_path() /
         "muster_cuda_compression.so";
}

const DeviceCompression& load_device_compression(const std::filesystem::path& file) {
  const SharedObject object("CUDA module", file,
                            {"build muster where the CUDA toolkit (nvcc) and nccl.h are: docs/gpu.md",
                             "build it again on this machine"});
  return object.table<DeviceCompression>("muster_device_compression", kDeviceCompressionAbi,
                                         "take the muster_cuda_compression.so of this build");
}

}  // namespace muster::workloads
