#pragma once
/// Which GPUs a launcher may hand out.

#include <optional>
#include <string>
#include <vector>

namespace muster {

/// As CUDA_VISIBLE_DEVICES names them. `found` is what the driver shows, `visible` is the value of the
/// launcher's own CUDA_VISIBLE_DEVICES (a site or a batch system restricts us by it), `declared` is `--gpus
/// N`: exactly N then, the first of those known, numbered on where fewer are known.
std::vector<std::string> gpu_slots(const std::vector<std::string>& found,
                                   const std::optional<std::string>& visible, std::optional<int> declared);

}  // namespace muster
