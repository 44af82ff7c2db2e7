#pragma once
/// New lines of a text file that another process appends to. Polls: inotify sees nothing that another host
/// writes.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace muster {

/// Of a line that a progress bar rewrote with carriage returns only the last text is kept. Reads at most 1
/// MiB a call, so that a flood of one task does not hold up the others. A file that cannot be read has no new
/// lines.
class LineFollower {
 public:
  explicit LineFollower(std::filesystem::path file) : file_(std::move(file)) {}

  /// Whole lines since the last call, without their newline.
  std::vector<std::string> read();

  /// What is left of a file that has ended, an unfinished last line too.
  std::vector<std::string> finish();

 private:
  void take_line(std::string line, std::vector<std::string>& lines) const;

  std::filesystem::path file_;
  std::uint64_t offset_ = 0;
  std::string unfinished_;
};

}  // namespace muster
