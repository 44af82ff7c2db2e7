#include "launcher/task_outputs.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/durable_file.hpp"
#include "core/error.hpp"

namespace muster {

namespace fs = std::filesystem;

namespace {

bool is_output(const std::string& name) {
  return name == "log.txt" || name == "metrics.h5" || (name.starts_with("metrics") && name.ends_with(".csv"));
}

void link_to(const fs::path& link, const fs::path& target) {
  std::error_code error;
  if (fs::read_symlink(link, error) == target) return;
  const fs::path aside =
      link.parent_path() / ("." + link.filename().string() + "." + std::to_string(getpid()));
  fs::remove(aside, error);
  if (symlink(target.c_str(), aside.c_str()) != 0) throw_storage_error(link, "link", errno);
  if (std::rename(aside.c_str(), link.c_str()) != 0) throw_storage_error(link, "link", errno);
}

}  // namespace

void link_outputs(const TaskPaths& task, int attempt) {
  const fs::path folder = task.attempt(attempt);
  std::error_code error;
  for (fs::directory_iterator item(folder, error), end; !error && item != end; item.increment(error)) {
    const std::string name = item->path().filename().string();
    if (is_output(name)) link_to(task.folder() / name, folder.filename() / name);
  }
}

void write_done(const TaskPaths& task, const std::string& id, int attempt, double seconds) {
  // Where a crash of the machine takes it, the journal and exit.json still say so.
  write_whole(task.done(),
              nlohmann::ordered_json{{"attempt", attempt}, {"id", id}, {"seconds", seconds}}.dump() + "\n");
}

}  // namespace muster
