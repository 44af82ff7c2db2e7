#pragma once
/// The tensors of a pickle that torch wrote: what `torch._utils._rebuild_tensor_v2` would have made, as
/// views.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "core/dtype.hpp"
#include "core/weights/pickle.hpp"
#include "core/weights/torch_file.hpp"

namespace muster {

/// A persistent id of torch's: ('storage', torch.FloatStorage, key, location, elements).
struct TorchStorage {
  DType dtype = DType::f32;
  std::string_view key;
  std::uint64_t elements = 0;

  std::uint64_t bytes() const { return elements * size_of(dtype); }  ///< never overflows
};

/// Throws Error(data), naming `file`, where the reference is no storage of a known type.
TorchStorage torch_storage_of(const PickleReference& reference, const std::filesystem::path& file);

/// What pickles of torch's may name.
PickleRules torch_pickle_rules(const std::filesystem::path& file);

/// The state dict's tensors; `storages` has the bytes of every storage by its key. `file_size` bounds what
/// tensors that share storages may come to together.
TorchTensors collect_torch_tensors(const PickleValue& root,
                                   const std::map<std::string_view, std::span<const std::byte>>& storages,
                                   std::uint64_t file_size, const std::filesystem::path& file);

[[noreturn]] void refuse_torch_file(const std::filesystem::path& file, const std::string& why);

}  // namespace muster
