#pragma once
/// Ctrl-C and its like, as values.

#include <chrono>

namespace muster {

/// While it lives: SIGINT, SIGTERM and SIGUSR1 are counted instead of ending the process, SIGCHLD wakes
/// wait(), SIGHUP and SIGPIPE are ignored (a run goes on when its terminal closes). One at a time, in a
/// process of one thread.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  /// Returns when a signal came or the time is over.
  void wait(std::chrono::milliseconds longest);

  enum class Request { none, save_and_stop, kill };
  /// Once SIGINT, or SIGTERM or SIGUSR1 however often: save and stop. SIGINT again: kill.
  Request request() const { return request_; }
  /// SIGUSR1 alone came: the job is about to end, and what is left may go on in another.
  bool time_is_short() const { return time_is_short_; }

 private:
  int descriptor_ = -1;
  Request request_ = Request::none;
  bool time_is_short_ = false;
};

}  // namespace muster
