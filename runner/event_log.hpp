#pragma once
/// events.jsonl: what an attempt tells the launcher while it runs.

#include <filesystem>
#include <string>

#include "runner/workload.hpp"

namespace muster {

/// Appends whole lines, each with one write; a reader sees a torn line only after a crash of the machine. One
/// writer.
class EventLog {
 public:
  /// Throws Error(storage).
  explicit EventLog(const std::filesystem::path& file);
  ~EventLog();
  EventLog(const EventLog&) = delete;
  EventLog& operator=(const EventLog&) = delete;

  /// `event`: started, resumed, progress, checkpoint, stopping, finished or stopped. Throws Error(storage).
  void append(const std::string& event, const Progress& progress);
  /// Seconds spent in it.
  double seconds() const { return seconds_; }

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
  double seconds_ = 0;
};

}  // namespace muster
