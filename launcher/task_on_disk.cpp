#include "launcher/task_on_disk.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <system_error>

namespace muster {

namespace {

namespace fs = std::filesystem;

/// N of PREFIX-N; nullopt for another name.
std::optional<std::int64_t> number_after(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  name.remove_prefix(prefix.size());
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number < 0) return std::nullopt;
  return number;
}

}  // namespace

std::string TaskOnDisk::text() const {
  if (done) return "done";
  if (checkpoint_step) return "checkpoint at step " + std::to_string(*checkpoint_step);
  if (attempts > 0) return "tried " + std::to_string(attempts) + (attempts == 1 ? " time" : " times");
  return "new";
}

TaskOnDisk look_at_task(const TaskPaths& paths) {
  TaskOnDisk found;
  std::error_code error;
  found.done = fs::exists(paths.done(), error);
  for (fs::directory_iterator item(paths.folder(), error), end; !error && item != end;
       item.increment(error)) {
    if (const auto attempt = number_after(item->path().filename().string(), "attempt-"))
      found.attempts = std::max(found.attempts, static_cast<int>(*attempt));
  }
  error.clear();
  for (fs::directory_iterator item(paths.checkpoints(), error), end; !error && item != end;
       item.increment(error)) {
    const auto step = number_after(item->path().filename().string(), "step-");
    std::error_code ignored;
    if (step && fs::exists(item->path() / "manifest.json", ignored))
      found.checkpoint_step = std::max(found.checkpoint_step.value_or(0), *step);
  }
  return found;
}

}  // namespace muster
