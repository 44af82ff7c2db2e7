#pragma once
/// How far a gang is: rank 0's events.jsonl, folded.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "launcher/line_follower.hpp"

namespace muster {

class GangProgress {
 public:
  explicit GangProgress(const std::filesystem::path& events_file) : events_(events_file) {}

  /// Reads what is new; true where something was.
  bool poll();

  std::int64_t step() const { return step_; }
  std::int64_t total_steps() const { return total_steps_; }
  const std::string& note() const { return note_; }
  const std::string& last_event() const { return last_event_; }  ///< "" before the first
  /// Seconds to the end at this attempt's pace; nullopt until it shows.
  std::optional<double> seconds_left() const;

  /// "120/400 30% epoch 3/24 loss 1.21, 0:32 left"; "" before the first event.
  std::string text() const;

 private:
  void fold(const std::string& line);

  LineFollower events_;
  std::int64_t step_ = 0;
  std::int64_t total_steps_ = 0;
  double time_ = 0;
  std::int64_t first_step_ = -1;  ///< of this attempt: a resumed one does not start at 0
  double first_time_ = 0;
  std::string note_;
  std::string last_event_;
};

/// "1:02:03", "2:03", "0:07".
std::string duration_text(double seconds);

}  // namespace muster
