#include "runner/cuda/connect_gpus.hpp"

#include "runner/agreement.hpp"
#include "runner/cuda/load_module.hpp"

namespace muster {

std::unique_ptr<DeviceCommunicator> connect_gpus(QueuedCommunicator& control,
                                                 const std::filesystem::path& module_file,
                                                 const DeviceCommunicatorOptions& options) {
  const CudaModule* cuda = nullptr;
  const auto failure = failure_of_any(control, [&] {
    cuda = &load_cuda_module(module_file);
    cuda->describe_nccl();
    if (options.device >= cuda->count_devices())
      throw Error(ExitCode::resources, "there is no CUDA device " + std::to_string(options.device),
                  "give every rank a GPU: CUDA_VISIBLE_DEVICES says which it sees");
  });
  if (failure) throw *failure;
  return cuda->connect(control, options);
}

}  // namespace muster
