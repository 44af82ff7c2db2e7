#include "workloads/common/compression/cuda/load_device_compression.hpp"

#include "core/shared_object.hpp"

namespace muster::workloads {

const DeviceCompression& load_device_compression(const std::filesystem::path& file) {
  const SharedObject object("CUDA module", file,
                            {"build muster where the CUDA toolkit (nvcc) and nccl.h are: docs/gpu.md",
                             "build it again on this machine"});
  return object.table<DeviceCompression>("muster_device_compression", kDeviceCompressionAbi,
                                         "take the muster_cuda_compression.so of this build");
}

}  // namespace muster::workloads
