#include "launcher/task_cancels.hpp"

#include <charconv>
#include <system_error>

#include "core/durable_file.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Request = StopSignals::Request;

constexpr const char* kNow = "now";

/// -1 for what is no task's.
int task_of(const fs::path& file) {
  const std::string name = file.filename().string();
  const std::string prefix = RunPaths("").cancel(0).filename().string();
  const std::string begin = prefix.substr(0, prefix.size() - 1);
  int task = -1;
  if (!name.starts_with(begin)) return task;
  const auto [end, error] = std::from_chars(name.data() + begin.size(), name.data() + name.size(), task);
  return error == std::errc() && end == name.data() + name.size() ? task : -1;
}

}  // namespace

void ask_to_cancel(const RunPaths& run, int task, Request how) {
  write_durably(run.cancel(task), how == Request::kill ? kNow : "");
}

TaskCancels read_cancels(const RunPaths& run) {
  TaskCancels cancels;
  std::error_code error;
  for (fs::directory_iterator item(run.folder(), error), end; !error && item != end; item.increment(error)) {
    const int task = task_of(item->path());
    if (task >= 0) cancels[task] = read_text(item->path()) == kNow ? Request::kill : Request::save_and_stop;
  }
  return cancels;
}

void forget_cancels(const RunPaths& run) {
  for (const auto& [task, how] : read_cancels(run)) {
    std::error_code ignored;
    fs::remove(run.cancel(task), ignored);
  }
}

}  // namespace muster
