#pragma once
/// The files of a folder or of a tar archive, behind one face: found by name, read when asked for.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace muster::workloads {

using Bytes = std::vector<std::uint8_t>;

/// A flat bundle of files: their names without folders. Of two files of one name the first counts.
class FileBundle {
 public:
  /// The regular files right in a folder.
  static FileBundle of_folder(const std::filesystem::path& folder);

  /// The regular files of a .tar, .tar.gz or .tgz, unpacked into memory; nothing is written to disk, no link
  /// is followed. Throws Error(data) where the archive is damaged or ends early.
  static FileBundle of_archive(const std::filesystem::path& archive);

  bool has(const std::string& name) const { return files_.contains(name); }
  /// Throws Error(data) where the file cannot be read. The name must be there.
  Bytes read(const std::string& name) const;
  /// For messages: the file's path, or "archive:name".
  std::string place(const std::string& name) const;
  const std::filesystem::path& origin() const { return origin_; }

 private:
  std::filesystem::path origin_;
  bool is_archive_ = false;
  std::map<std::string, std::function<Bytes()>> files_;
};

/// True for names that end in .tar, .tar.gz or .tgz.
bool looks_like_archive(const std::filesystem::path& file);

}  // namespace muster::workloads
