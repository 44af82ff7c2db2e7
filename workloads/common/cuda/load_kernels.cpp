#include "workloads/common/cuda/load_kernels.hpp"

#include <dlfcn.h>

#include "core/error.hpp"
#include "core/shared_object.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kName = "muster_cuda_kernels.so";

template <class Table>
const Table& table(const std::filesystem::path& file, const char* function, int abi) {
  const SharedObject object("CUDA module", file,
                            {"build muster where the CUDA toolkit (nvcc) and nccl.h are: docs/gpu.md",
                             "build it again on this machine"});
  return object.table<Table>(function, abi, std::string("take the ") + kName + " of this build");
}

}  // namespace

std::filesystem::path device_kernels_file() {
  Dl_info info{};
  MUSTER_ASSERT(dladdr(reinterpret_cast<const void*>(&device_kernels_file), &info) != 0);
  return std::filesystem::canonical(info.dli_fname).parent_path().parent_path() / kName;
}

const DeviceCompression& load_device_compression(const std::filesystem::path& file) {
  return table<DeviceCompression>(file, "muster_device_compression", kDeviceCompressionAbi);
}

const DeviceLayers& load_device_layers(const std::filesystem::path& file) {
  return table<DeviceLayers>(file, "muster_device_layers", kDeviceLayersAbi);
}

}  // namespace muster::workloads
