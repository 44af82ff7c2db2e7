#include "launcher/run_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <fstream>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {

namespace {

constexpr const char* kAttemptMark = "==== attempt ";

std::string prefix_of(const std::string& task) { return "[" + task + "] "; }

std::string attempt_mark(const std::string& task, int attempt) {
  return prefix_of(task) + kAttemptMark + std::to_string(attempt) + ":";
}

}  // namespace

RunLog::RunLog(const std::filesystem::path& file, Console& console) : file_(file), console_(console) {
  descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_storage_error(file, "open", errno);
  const std::string text = read_text(file);
  const std::size_t last = text.rfind('\n');
  const std::size_t whole = last == std::string::npos ? 0 : last + 1;
  if (whole < text.size() && ftruncate(descriptor_, static_cast<off_t>(whole)) != 0) {
    const int error_number = errno;
    close(descriptor_);
    throw_storage_error(file, "repair", error_number);
  }
}

RunLog::~RunLog() { close(descriptor_); }

void RunLog::note(const std::string& text) {
  const std::time_t now = std::time(nullptr);
  char stamp[16];
  std::tm local{};
  std::strftime(stamp, sizeof stamp, "%H:%M:%S ", localtime_r(&now, &local));
  append({stamp + text});
}

void RunLog::begin_attempt(const std::string& task, int attempt, const std::string& text) {
  append({attempt_mark(task, attempt) + " " + text});
}

void RunLog::task_lines(const std::string& task, const std::vector<std::string>& lines) {
  std::vector<std::string> prefixed;
  for (const std::string& line : lines) prefixed.push_back(prefix_of(task) + line);
  append(prefixed);
}

long RunLog::lines_of_attempt(const std::string& task, int attempt) const {
  std::ifstream file(file_);
  const std::string prefix = prefix_of(task);
  const std::string mark = attempt_mark(task, attempt);
  long lines = -1;
  bool is_in_attempt = false;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(prefix)) continue;
    if (line.starts_with(prefix + kAttemptMark)) {
      is_in_attempt = line.starts_with(mark);
      if (is_in_attempt) lines = 0;
    } else if (is_in_attempt) {
      ++lines;
    }
  }
  return lines;
}

void RunLog::append(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_storage_error(file_, "append to", errno);
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  console_.lines(lines);
}

}  // namespace muster
