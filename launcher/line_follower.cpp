#include "launcher/line_follower.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace muster {

namespace {

constexpr std::size_t kBytesACall = 1 << 20;
constexpr std::size_t kLongestLine = 1 << 16;

}  // namespace

void LineFollower::take_line(std::string line, std::vector<std::string>& lines) const {
  while (!line.empty() && line.back() == '\r') line.pop_back();
  const std::size_t rewritten = line.rfind('\r');
  lines.push_back(rewritten == std::string::npos ? std::move(line) : line.substr(rewritten + 1));
}

std::vector<std::string> LineFollower::read() {
  std::vector<std::string> lines;
  // Opened anew each time: so NFS shows what has been written since.
  const int file = open(file_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return lines;
  struct stat about {};
  const bool known = fstat(file, &about) == 0;
  const auto size = known ? static_cast<std::uint64_t>(about.st_size) : offset_;
  std::string text(size > offset_ ? std::min<std::uint64_t>(size - offset_, kBytesACall) : 0, '\0');
  const ssize_t got = pread(file, text.data(), text.size(), static_cast<off_t>(offset_));
  close(file);
  if (got <= 0) return lines;
  offset_ += static_cast<std::uint64_t>(got);
  text.resize(static_cast<std::size_t>(got));
  std::size_t begin = 0;
  for (std::size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    take_line(unfinished_ + text.substr(begin, end - begin), lines);
    unfinished_.clear();
  }
  unfinished_ += text.substr(begin);
  if (unfinished_.size() > kLongestLine) {
    take_line(std::move(unfinished_), lines);
    unfinished_.clear();
  }
  return lines;
}

std::vector<std::string> LineFollower::finish() {
  std::vector<std::string> lines;
  for (std::uint64_t before = offset_ + 1; before != offset_;) {
    before = offset_;
    std::vector<std::string> more = read();
    std::move(more.begin(), more.end(), std::back_inserter(lines));
  }
  if (!unfinished_.empty()) take_line(std::move(unfinished_), lines);
  unfinished_.clear();
  return lines;
}

}  // namespace muster
