#include "core/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <string_view>
#include <system_error>
#include <tuple>

#include "core/checksum.hpp"
#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/unix_time.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

constexpr std::array kStates = {TaskState::pending, TaskState::starting, TaskState::running,
                                TaskState::stopped, TaskState::failed,   TaskState::done};
constexpr std::size_t kChecksumDigits = 16;

std::string to_line(const JournalEntry& entry) {
  nlohmann::ordered_json object{
      {"sequence", entry.sequence}, {"unix_time", entry.unix_time},    {"task", entry.task},
      {"attempt", entry.attempt},   {"state", to_string(entry.state)}, {"exit_code", entry.exit_code},
      {"reason", entry.reason}};
  if (!entry.host.empty()) object["host"] = entry.host;
  const std::string json = object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  return checksum64(json) + " " + json + "\n";
}

/// The entry of a line without its newline; nullopt where it is damaged.
std::optional<JournalEntry> from_line(std::string_view line) {
  if (line.size() < kChecksumDigits + 1 || line[kChecksumDigits] != ' ') return std::nullopt;
  const std::string_view json = line.substr(kChecksumDigits + 1);
  if (checksum64(json) != line.substr(0, kChecksumDigits)) return std::nullopt;
  try {
    const auto object = nlohmann::json::parse(json);
    const auto state_name = object.at("state").get<std::string>();
    const auto state = std::find_if(kStates.begin(), kStates.end(),
                                    [&](TaskState candidate) { return state_name == to_string(candidate); });
    if (state == kStates.end()) return std::nullopt;
    return JournalEntry{object.at("sequence").get<std::int64_t>(),
                        object.at("unix_time").get<double>(),
                        object.at("task").get<std::string>(),
                        object.at("attempt").get<int>(),
                        *state,
                        object.at("exit_code").get<int>(),
                        object.at("reason").get<std::string>(),
                        object.value("host", "")};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

struct Scan {
  std::vector<JournalEntry> entries;
  std::size_t whole_bytes = 0;  ///< up to here every line holds
};

/// Throws Error(storage) where a damaged line is not the last.
Scan scan(const fs::path& file, std::string_view text) {
  Scan result;
  int line_number = 0;
  while (result.whole_bytes < text.size()) {
    ++line_number;
    const std::size_t end = text.find('\n', result.whole_bytes);
    const bool last = end == std::string_view::npos || end + 1 == text.size();
    std::optional<JournalEntry> entry;
    if (end != std::string_view::npos)
      entry = from_line(text.substr(result.whole_bytes, end - result.whole_bytes));
    if (entry && entry->sequence != static_cast<std::int64_t>(result.entries.size()) + 1) entry.reset();
    if (!entry) {
      if (last) break;
      throw Error(ExitCode::storage, "the journal is damaged: this line's checksum or number is wrong",
                  "something other than muster wrote here, or the disk is failing; move the run's folder "
                  "away to start "
                  "a new run (finished tasks stay finished)",
                  SourcePlace{file, line_number, 1});
    }
    result.entries.push_back(*std::move(entry));
    result.whole_bytes = end + 1;
  }
  return result;
}

}  // namespace

const char* to_string(TaskState state) {
  switch (state) {
    case TaskState::pending:
      return "pending";
    case TaskState::starting:
      return "starting";
    case TaskState::running:
      return "running";
    case TaskState::stopped:
      return "stopped";
    case TaskState::failed:
      return "failed";
    case TaskState::done:
      return "done";
    case TaskState::blocked:
      return "blocked";
  }
  return "unknown";
}

Journal::Journal(const fs::path& file) : file_(file) {
  make_folders(file.parent_path());
  descriptor_ = open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_storage_error(file, "open", errno);
  try {
    const std::string text = read_text(file);
    const Scan found = scan(file, text);
    sequence_ = static_cast<std::int64_t>(found.entries.size());
    if (found.whole_bytes < text.size()) {
      if (ftruncate(descriptor_, static_cast<off_t>(found.whole_bytes)) != 0 || fsync(descriptor_) != 0)
        throw_storage_error(file, "repair", errno);
    }
    fsync_folder(file.parent_path());
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

Journal::~Journal() {
  if (descriptor_ >= 0) close(descriptor_);
}

Journal::Journal(Journal&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      sequence_(other.sequence_),
      file_(std::move(other.file_)) {}

Journal& Journal::operator=(Journal&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(sequence_, other.sequence_);
  std::swap(file_, other.file_);
  return *this;
}

void Journal::append(JournalEntry entry) {
  put(std::move(entry));
  sync();
}

void Journal::sync() {
  MUSTER_ASSERT(descriptor_ >= 0);
  if (fsync(descriptor_) != 0) throw_storage_error(file_, "append to", errno);
}

void Journal::put(JournalEntry entry) {
  MUSTER_ASSERT(descriptor_ >= 0);
  entry.sequence = sequence_ + 1;
  entry.unix_time = unix_now();
  const std::string line = to_line(entry);
  struct stat before {};
  if (fstat(descriptor_, &before) != 0) throw_storage_error(file_, "append to", errno);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  if (!rest.empty()) {
    const int error_number = errno;
    // Half a line must not stay: the next append would bury it, and the file would count as damaged.
    if (ftruncate(descriptor_, before.st_size) != 0) {
      close(descriptor_);
      descriptor_ = -1;
    }
    throw_storage_error(file_, "append to", error_number);
  }
  ++sequence_;
}

std::vector<JournalEntry> read_journal(const fs::path& folder) {
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator item(folder, error), end; !error && item != end; item.increment(error)) {
    if (item->path().extension() == ".jsonl") files.push_back(item->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    throw_storage_error(folder, "read", error.value());
  std::sort(files.begin(), files.end());
  std::vector<JournalEntry> entries;
  for (const fs::path& file : files) {
    std::vector<JournalEntry> found = scan(file, read_text(file)).entries;
    entries.insert(entries.end(), std::make_move_iterator(found.begin()),
                   std::make_move_iterator(found.end()));
  }
  return entries;
}

std::map<std::string, JournalEntry> fold(const std::vector<JournalEntry>& entries) {
  const auto rank_of = [](const JournalEntry& entry) {
    return std::tie(entry.attempt, entry.state, entry.unix_time, entry.sequence, entry.exit_code,
                    entry.reason);
  };
  std::map<std::string, JournalEntry> result;
  for (const JournalEntry& entry : entries) {
    const auto [place, is_new] = result.try_emplace(entry.task, entry);
    if (!is_new && rank_of(place->second) < rank_of(entry)) place->second = entry;
  }
  return result;
}

}  // namespace muster
