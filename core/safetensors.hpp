#pragma once
/// The safetensors file format: 8 bytes of header length (little endian), a JSON header, raw little-endian
/// tensors. Format: huggingface.co/docs/safetensors.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.hpp"

namespace muster {

/// A tensor in memory, row-major and contiguous; does not own its data.
struct TensorView {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

/// "F32" and the like.
const char* safetensors_name_of(DType type);

/// Tensors of wide elements come first, so that the mapped file has each aligned to its element.
/// Writes and fsyncs; not atomic by itself (the checkpoint store renames the folder). Returns the XXH3-128 of
/// the file's bytes in hex, computed while writing. Throws Error(storage) and leaves no file; Error(internal)
/// for a name given twice or bytes that do not fit the shape.
std::string write_safetensors(const std::filesystem::path& file, const std::vector<TensorView>& tensors,
                              const std::map<std::string, std::string>& metadata = {});

struct SafetensorsContent {
  std::vector<TensorView> tensors;  ///< by their place in the file
  std::map<std::string, std::string> metadata;
};

/// The tensors of a file that is in memory, as views into `bytes`. Throws as SafetensorsFile, naming `file`.
SafetensorsContent read_safetensors(std::span<const std::byte> bytes, const std::filesystem::path& file);

/// A memory-mapped file. Views live as long as it does; in a file that others wrote they may be unaligned.
class SafetensorsFile {
 public:
  /// Throws Error(data) where the header is damaged, an offset leaves the file, tensors overlap or leave
  /// holes, or the file is not there.
  explicit SafetensorsFile(const std::filesystem::path& file);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::vector<TensorView>& tensors() const;         ///< by their place in the file
  const TensorView* find(const std::string& name) const;  ///< nullptr where there is none
  const std::map<std::string, std::string>& metadata() const;
  std::string checksum() const;  ///< XXH3-128 of the whole file, hex

 private:
  struct Mapping;
  std::unique_ptr<Mapping> mapping_;
};

}  // namespace muster
