#include "runner/failure.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>
#include <nlohmann/json.hpp>
#include <string>

#include "core/durable_file.hpp"
#include "core/run_paths.hpp"

namespace muster {

Error current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(
        ExitCode::resources, "out of memory: an allocation failed",
        "use a smaller batch or network, fewer ranks on this machine, or a machine with more memory");
  } catch (const std::exception& error) {
    // LibTorch adds a backtrace of many lines: it belongs in the log, not in the table's reason.
    const std::string text = error.what();
    const std::string first_line = text.substr(0, text.find('\n'));
    if (first_line != text) std::fprintf(stderr, "%s\n", text.c_str());
    return Error(ExitCode::internal, "the workload threw: " + first_line,
                 "a bug in the workload, most likely; its place may be in the log");
  } catch (...) {
    return Error(ExitCode::internal, "the workload threw something that is no std::exception",
                 "a bug in the workload, most likely");
  }
}

void report_failure(const Error& error, const std::filesystem::path& attempt_folder, int rank) noexcept {
  try {
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    std::fprintf(stderr, "muster-runner: rank %d on %s: error: %s\n", rank, host, error.what());
    // With the file that it is in, which what() has before it.
    std::string problem = error.what();
    problem.resize(problem.find(error.problem()) + error.problem().size());
    const nlohmann::ordered_json record{{"code", static_cast<int>(error.code())},
                                        {"problem", problem},
                                        {"advice", error.advice()},
                                        {"rank", rank},
                                        {"host", host}};
    write_durably(AttemptPaths(attempt_folder).failure(rank),
                  record.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  } catch (const std::exception& second) {
    std::fprintf(stderr, "muster-runner: rank %d: cannot record the failure: %s\n", rank, second.what());
  }
}

}  // namespace muster
