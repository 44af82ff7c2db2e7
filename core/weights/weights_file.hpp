#pragma once
/// A file of weights, whoever wrote it.

#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/safetensors.hpp"
#include "core/weights/torch_file.hpp"

namespace muster {

enum class WeightsFormat {
  safetensors,
  torch_zip,     ///< torch.save since 1.6
  torch_series,  ///< torch.save before
};

const char* to_string(WeightsFormat format);

/// What a file of weights holds; its views are into the file's bytes and into `torch`'s copies.
struct WeightsContent {
  WeightsFormat format = WeightsFormat::safetensors;
  TorchTensors torch;  ///< its tensors are the file's, whatever the format
  std::map<std::string, std::string> metadata;
};

/// Reads a file that is in memory; throws as WeightsFile, naming `file`.
WeightsContent read_weights(std::span<const std::byte> bytes, const std::filesystem::path& file);

/// A memory-mapped `.safetensors`, `.pth`, `.pt` or `.th`; what it is is seen by its first bytes, not by its
/// name. Views live as long as it does and may be unaligned. Nothing in a file is ever executed.
class WeightsFile {
 public:
  /// Throws Error(data) where the file is damaged, of no known kind, or holds more than tensors in plain
  /// containers.
  explicit WeightsFile(const std::filesystem::path& file);
  ~WeightsFile();
  WeightsFile(WeightsFile&&) noexcept;
  WeightsFile& operator=(WeightsFile&&) noexcept;

  const std::filesystem::path& path() const;
  WeightsFormat format() const;
  const std::vector<TensorView>& tensors() const;              ///< in the file's order; no name twice
  const std::map<std::string, std::string>& metadata() const;  ///< of a .safetensors
  const std::string& entry()
      const;  ///< of a torch file: where the state dict stands in it, such as "state_dict"

 private:
  struct Mapping;
  std::unique_ptr<Mapping> mapping_;
};

}  // namespace muster
