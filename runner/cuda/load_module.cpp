#include "runner/cuda/load_module.hpp"

#include "core/shared_object.hpp"
#include "runner/agreement.hpp"

namespace muster {

std::filesystem::path cuda_module_file() {
  return std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() /
         "lib/muster/muster_cuda.so";
}

const CudaModule& load_cuda_module(const std::filesystem::path& file) {
  const SharedObject object("CUDA module", file,
                            {"build muster where the CUDA toolkit (nvcc) and nccl.h are: docs/gpu.md",
                             "build it again on this machine"});
  return object.table<CudaModule>("muster_cuda", kCudaModuleAbi, "take the muster_cuda.so of this build");
}

const CudaModule& load_cuda_module_everywhere(QueuedCommunicator& control, const std::filesystem::path& file,
                                              int device) {
  const CudaModule* cuda = nullptr;
  const auto failure = failure_of_any(control, [&] {
    cuda = &load_cuda_module(file);
    cuda->describe_nccl();
    if (device >= cuda->count_devices())
      throw Error(ExitCode::resources, "there is no CUDA device " + std::to_string(device),
                  "give every rank a GPU: CUDA_VISIBLE_DEVICES says which it sees");
  });
  if (failure) throw *failure;
  return *cuda;
}

}  // namespace muster
