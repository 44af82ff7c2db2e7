#pragma once
/// Errors and exit codes of every muster program.

#include <filesystem>
#include <optional>
#include <source_location>
#include <stdexcept>
#include <string>

namespace muster {

/// Exit status of `muster`, `muster-runner` and `muster-shim`. The README lists them; scripts rely on them.
enum class ExitCode : int {
  ok = 0,
  task_failed = 1,    ///< a run ended and at least one task failed
  usage = 2,          ///< wrong command line
  config = 3,         ///< an experiment file says something that cannot be
  data = 4,           ///< a data set is missing, truncated or out of range
  resources = 5,      ///< more GPUs, ranks or CPUs than there are
  storage = 6,        ///< results cannot be written (read-only, full, quota)
  workload = 7,       ///< a plugin cannot be loaded, or has another ABI
  busy = 8,           ///< another launcher drives this run
  diverged = 9,       ///< a loss or weight is NaN or infinite
  checkpoint = 10,    ///< no checkpoint that is there can be read
  internal = 70,      ///< a bug in muster
  stopped = 75,       ///< saved and stopped on request; the same command goes on
  interrupted = 130,  ///< killed on request (second Ctrl-C)
};

/// A place in a text file; line and column count from 1, 0 where unknown.
struct SourcePlace {
  std::filesystem::path file;
  int line = 0;
  int column = 0;
};

/// What ends a task or a command. `what()` reads `file:line:column: problem; advice`.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& problem, const std::string& advice,
        std::optional<SourcePlace> place = std::nullopt);

  ExitCode code() const { return code_; }
  const std::string& problem() const { return problem_; }
  const std::string& advice() const { return advice_; }
  const std::optional<SourcePlace>& place() const { return place_; }

 private:
  ExitCode code_;
  std::string problem_;
  std::string advice_;
  std::optional<SourcePlace> place_;
};

/// Throws Error(storage) naming `path`, the failed call and errno's text, with what to do about it.
[[noreturn]] void throw_storage_error(const std::filesystem::path& path, const std::string& doing,
                                      int error_number);

/// A bug in muster, never the user's fault: says so, with the place, and throws Error(internal).
[[noreturn]] void throw_bug(const char* condition,
                            std::source_location where = std::source_location::current());

}  // namespace muster

#define MUSTER_ASSERT(condition) ((condition) ? void(0) : ::muster::throw_bug(#condition))
