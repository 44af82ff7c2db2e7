#pragma once
/// run.log: all tasks' lines and the launcher's own, in the order they were seen. The console shows the same.

#include <filesystem>
#include <string>
#include <vector>

#include "launcher/console.hpp"

namespace muster {

/// One writer at a time: the launcher that holds the run. Throws Error(storage) where it cannot write.
class RunLog {
 public:
  /// A torn last line, left by a killed launcher, is cut off.
  RunLog(const std::filesystem::path& file, Console& console);
  ~RunLog();
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;

  /// The launcher's own: "12:04:55 TEXT".
  void note(const std::string& text);
  /// A task's: "[task-0-lr0.1] LINE". From here on its lines are those of this attempt.
  void begin_attempt(const std::string& task, int attempt, const std::string& text);
  void task_lines(const std::string& task, const std::vector<std::string>& lines);

  /// How many lines of the attempt are in the file already: a launcher that takes over goes on behind them.
  /// -1 where the attempt never began here.
  long lines_of_attempt(const std::string& task, int attempt) const;

 private:
  void append(const std::vector<std::string>& lines);

  std::filesystem::path file_;
  Console& console_;
  int descriptor_ = -1;
};

}  // namespace muster
