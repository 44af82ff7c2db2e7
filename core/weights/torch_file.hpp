#pragma once
/// What `torch.save` writes of a state dict: `.pth`, `.pt`, `.th`. Since torch 1.6 it is a zip file of a
/// pickle and of storages; before, a series of pickles and then the storages.

#include <cstddef>
#include <deque>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/safetensors.hpp"

namespace muster {

struct TorchTensors {
  std::vector<TensorView> tensors;            ///< in the state dict's order
  std::deque<std::vector<std::byte>> copies;  ///< of those that are not row-major in the file
  std::string entry;                          ///< where the state dict stands: "state_dict"; "" for the root
};

bool looks_like_torch_zip(std::span<const std::byte> bytes);
bool looks_like_torch_series(std::span<const std::byte> bytes);

/// Views into `bytes`, perhaps unaligned, and into copies. The state dict is the root, or its only entry that
/// holds tensors alone, or of several the one that is called state_dict, model, model_state_dict or net.
/// Throws Error(data), naming `file`, for what is damaged or is more than tensors in plain containers. No
/// Python code of the file runs.
TorchTensors read_torch_zip(std::span<const std::byte> bytes, const std::filesystem::path& file);
TorchTensors read_torch_series(std::span<const std::byte> bytes, const std::filesystem::path& file);

}  // namespace muster
