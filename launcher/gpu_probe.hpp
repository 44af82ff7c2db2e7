#pragma once
/// Which GPUs this machine has, without linking CUDA: NVML is loaded where it is there.

#include <optional>
#include <string>
#include <vector>

namespace muster {

struct FoundGpu {
  std::string name;   ///< "NVIDIA H200"
  std::string uuid;   ///< "GPU-..."
  double memory = 0;  ///< bytes
};

/// In PCI bus order, as CUDA_DEVICE_ORDER=PCI_BUS_ID counts them. Empty where there is no driver or no GPU.
std::vector<FoundGpu> probe_gpus();

/// What a launcher may hand out, as CUDA_VISIBLE_DEVICES names it. `visible` is the value of the launcher's
/// own CUDA_VISIBLE_DEVICES (a site or a batch system restricts us by it), `declared` is `--gpus N`: exactly
/// N then, the first of those known, numbered on where fewer are known.
std::vector<std::string> gpu_slots(std::size_t found, const std::optional<std::string>& visible,
                                   std::optional<int> declared);

}  // namespace muster
