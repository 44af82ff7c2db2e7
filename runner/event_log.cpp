#include "runner/event_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "core/error.hpp"
#include "core/unix_time.hpp"
#include "runner/timed_scope.hpp"

namespace muster {

EventLog::EventLog(const std::filesystem::path& file) : file_(file) {
  descriptor_ = open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) throw_storage_error(file, "write", errno);
}

EventLog::~EventLog() { close(descriptor_); }

void EventLog::append(const std::string& event, const Progress& progress) {
  const TimedScope timed(seconds_);
  nlohmann::ordered_json line{
      {"time", unix_now()}, {"event", event}, {"step", progress.step}, {"total_steps", progress.total_steps}};
  if (!progress.note.empty()) line["note"] = progress.note;
  const std::string text = line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw_storage_error(file_, "write", errno != 0 ? errno : ENOSPC);
}

}  // namespace muster
