#pragma once
/// Runs one of Slurm's commands: argv without a shell, with a time limit.

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace muster {

struct CommandResult {
  int exit_code = 0;  ///< 127: the program is not there; 128 + N: ended by signal N
  std::string out;
  std::string err;
  bool timed_out = false;

  bool ok() const { return exit_code == 0 && !timed_out; }
  /// What `err` calls errors, else its last line, without the program's name; for messages.
  std::string complaint() const;
};

/// `argv[0]` is looked up in PATH; `input` is its stdin; `environment` is added to this process's (an empty
/// value removes). Killed after `limit`. Throws Error(resources) where no process can be started.
CommandResult run_command(const std::vector<std::string>& argv, const std::string& input = "",
                          std::chrono::milliseconds limit = std::chrono::seconds(30),
                          const std::map<std::string, std::string>& environment = {});

}  // namespace muster
