#pragma once
/// Progress of a run on a console: on a terminal a line a running task, redrawn; elsewhere a plain line now
/// and then.

#include <chrono>
#include <string>
#include <vector>

#include "launcher/console.hpp"
#include "launcher/supervised_task.hpp"

namespace muster {

class RunDisplay {
 public:
  explicit RunDisplay(Console& console) : console_(console) {}

  /// As often as you like: it redraws when something changed, and prints plain lines every ten seconds.
  void update(const std::vector<SupervisedTask>& tasks);

 private:
  void print_plain(const std::vector<SupervisedTask>& tasks);

  Console& console_;
  std::chrono::steady_clock::time_point next_plain_ = std::chrono::steady_clock::now() + kPlainEvery;

  static constexpr std::chrono::seconds kPlainEvery{10};
};

/// "3 done, 2 running, 5 waiting".
std::string counts_text(const std::vector<SupervisedTask>& tasks);

}  // namespace muster
