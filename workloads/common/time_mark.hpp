#pragma once
/// Times of a device's own: a GPU's by events, not by a host that has gone on.

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <chrono>
#include <deque>
#include <memory>
#include <utility>

namespace muster::workloads {

/// When a device got to a point of its work.
class TimeMark {
 public:
  /// Now, on a CPU; on a GPU when all is done that its current stream holds now.
  explicit TimeMark(c10::Device device);

  /// s from `earlier`, of the same device, to this. Waits for a GPU that is not there yet.
  double seconds_since(const TimeMark& earlier) const;
  /// Whether the device is there; on a CPU always.
  bool reached() const { return !reached_ || reached_->query(); }

 private:
  std::chrono::steady_clock::time_point host_;
  std::shared_ptr<c10::Event> reached_;  ///< a GPU's
};

/// Waits until a GPU has done what its current stream holds.
void wait_for(c10::Device device);

/// Times between marks, added up when they are asked for: until then no GPU is waited for.
class TimeSum {
 public:
  void add(const TimeMark& from, const TimeMark& to) { open_.emplace_back(from, to); }
  double seconds();
  /// Of what is over, and was not taken before: no GPU is waited for.
  double take_reached();

 private:
  double seconds_ = 0;
  std::deque<std::pair<TimeMark, TimeMark>> open_;
};

}  // namespace muster::workloads
