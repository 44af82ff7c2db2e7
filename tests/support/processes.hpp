#pragma once
/// Real processes for tests.

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace muster::testing {

/// Polls every 5 ms; false where `condition` did not hold within `seconds`.
bool wait_until(const std::function<bool()>& condition, double seconds = 10);

void write_text(const std::filesystem::path& file, const std::string& text);
/// "" where there is no such file.
std::string text_of(const std::filesystem::path& file);

struct ProcessOptions {
  std::map<std::string, std::string> environment;  ///< added to the test's
  std::filesystem::path working_folder;            ///< empty: the test's
  std::filesystem::path output;  ///< stdout and stderr are appended to it; empty: the test's
  std::filesystem::path errors;  ///< stderr alone; empty: where `output` goes
};

/// A child in a session of its own. Killed and reaped on destruction where it still runs.
class Process {
 public:
  explicit Process(const std::vector<std::string>& argv, const ProcessOptions& options = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int signal) const;
  bool running();
  /// The exit code, 128 + signal where a signal ended it; -1 where it still runs after `seconds`.
  int wait(double seconds = 30);

 private:
  pid_t pid_ = -1;
  bool ended_ = false;
  int code_ = -1;
};

}  // namespace muster::testing
