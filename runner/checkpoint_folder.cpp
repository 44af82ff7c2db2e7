#include "runner/checkpoint_folder.hpp"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <string>
#include <system_error>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {
namespace {

namespace fs = std::filesystem;

constexpr const char* kStagedPrefix = ".tmp-";
constexpr const char* kPublishedPrefix = "step-";
constexpr std::size_t kDigits = 12;

std::string digits(std::int64_t step) {
  const std::string text = std::to_string(step);
  return std::string(kDigits - std::min(kDigits, text.size()), '0') + text;
}

}  // namespace

fs::path CheckpointFolder::published(std::int64_t step) const {
  return folder_ / (kPublishedPrefix + digits(step));
}

fs::path CheckpointFolder::staged(std::int64_t step, int attempt) const {
  return folder_ / (kStagedPrefix + digits(step) + "-attempt-" + std::to_string(attempt));
}

std::vector<std::int64_t> CheckpointFolder::steps() const {
  std::vector<std::int64_t> found;
  std::error_code error;
  fs::directory_iterator entries(folder_, error);
  if (error == std::errc::no_such_file_or_directory) return found;
  if (error) throw_storage_error(folder_, "read the folder", error.value());
  for (const fs::directory_entry& entry : entries) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(kPublishedPrefix)) continue;
    const char* first = name.data() + std::string(kPublishedPrefix).size();
    const char* last = name.data() + name.size();
    std::int64_t step = 0;
    const auto [end, failure] = std::from_chars(first, last, step);
    if (failure == std::errc() && end == last && published(step).filename() == name) found.push_back(step);
  }
  std::ranges::sort(found, std::greater{});
  return found;
}

void CheckpointFolder::make_staged(std::int64_t step, int attempt) const {
  const fs::path folder = staged(step, attempt);
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  make_folders(folder);
}

void CheckpointFolder::publish(std::int64_t step, int attempt) const {
  const fs::path from = staged(step, attempt);
  const fs::path to = published(step);
  fsync_folder(from);
  if (fs::exists(to)) {
    if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
      fsync_folder(folder_);
      std::error_code ignored;
      fs::remove_all(from, ignored);
      return;
    }
    remove(step);  // This file system cannot exchange: for a moment only the older checkpoint is there.
  }
  if (rename(from.c_str(), to.c_str()) != 0) throw_storage_error(to, "rename into place", errno);
  fsync_folder(folder_);
}

void CheckpointFolder::remove(std::int64_t step) const noexcept {
  std::error_code ignored;
  const fs::path aside = folder_ / (kStagedPrefix + digits(step) + "-removed");
  fs::remove_all(aside, ignored);
  fs::rename(published(step), aside, ignored);
  fs::remove_all(aside, ignored);
}

void CheckpointFolder::remove_leftovers() const noexcept {
  std::error_code ignored;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator entry(folder_, ignored), end; !ignored && entry != end;
       entry.increment(ignored))
    if (entry->path().filename().string().starts_with(kStagedPrefix)) leftovers.push_back(entry->path());
  for (const fs::path& path : leftovers) fs::remove_all(path, ignored);
}

}  // namespace muster
