#include "runner/cuda/load_module.hpp"

#include <string>

#include "runner/shared_object.hpp"

namespace muster {

std::filesystem::path cuda_module_file() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
         "lib/muster/muster_cuda.so";
}

const CudaModule& load_cuda_module(const std::filesystem::path& file) {
  const SharedObject object("CUDA module", file,
                            {"build muster where the CUDA toolkit (nvcc) and nccl.h are: docs/gpu.md",
                             "build it again on this machine"});
  using Entry = const CudaModule*();
  auto* entry = reinterpret_cast<Entry*>(object.symbol("muster_cuda"));
  if (entry == nullptr)
    object.refuse("exports no function muster_cuda", "take the muster_cuda.so of this build");
  const CudaModule& cuda = *entry();
  if (cuda.abi != kCudaModuleAbi)
    object.refuse("was built for ABI " + std::to_string(cuda.abi) + " and this muster has ABI " +
                      std::to_string(kCudaModuleAbi),
                  "take the muster_cuda.so of this build");
  return cuda;
}

}  // namespace muster
