#pragma once
/// Where a rank's time goes.

#include <chrono>

namespace muster {

/// Adds the seconds of its life to a total.
class TimedScope {
 public:
  explicit TimedScope(double& total) : total_(total) {}
  ~TimedScope() { total_ += std::chrono::duration<double>(Clock::now() - began_).count(); }
  TimedScope(const TimedScope&) = delete;
  TimedScope& operator=(const TimedScope&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  double& total_;
  Clock::time_point began_ = Clock::now();
};

}  // namespace muster
