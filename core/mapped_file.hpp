#pragma once
/// A file that is read through memory.

#include <cstddef>
#include <filesystem>
#include <span>

namespace muster {

/// Maps a whole file for reading; the bytes live as long as this does. A file that another process cuts
/// meanwhile ends this one with SIGBUS, as every mapping does.
class MappedFile {
 public:
  /// Throws Error(data) where the file is not there, cannot be read, is no regular file or empty.
  explicit MappedFile(const std::filesystem::path& file);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace muster
