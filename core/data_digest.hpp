#pragma once
/// What a data set is to a task's id: names, sizes and contents of its files, wherever they lie.

#include <filesystem>
#include <map>
#include <string>

namespace muster {

/// Digests, remembered in `RUNS/data-digests.json` so that a data set is read once and not at every start.
/// One that changed its names, sizes or modification times is read again. Not thread-safe; of several
/// processes the last to write the cache wins, which costs time and nothing else.
class DataDigests {
 public:
  /// Reads the cache; a damaged one counts as empty.
  explicit DataDigests(const std::filesystem::path& runs_root);

  /// XXH3-128 in hex of a file, or of a folder with all below it (links are followed).
  /// Throws Error(data) where it is missing or cannot be read.
  std::string digest_of(const std::filesystem::path& path);

 private:
  struct Remembered {
    std::string signature;  ///< of names, sizes and modification times
    std::string digest;
  };
  void save() const;

  std::filesystem::path cache_;
  std::map<std::string, Remembered> remembered_;  ///< by absolute path
  std::map<std::string, std::string> looked_at_;  ///< digests by absolute path
};

}  // namespace muster
