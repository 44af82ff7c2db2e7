#include "core/error_report.hpp"

#include <cstdio>
#include <exception>

#include "core/error.hpp"

namespace muster {

int report_current_exception(const char* program) {
  try {
    throw;
  } catch (const Error& error) {
    std::fprintf(stderr, "%s: error: %s\n", program, error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: error: a bug in muster: %s; please report it with this line\n", program,
                 error.what());
  } catch (...) {
    std::fprintf(stderr, "%s: error: a bug in muster: something unknown was thrown; please report it\n",
                 program);
  }
  return static_cast<int>(ExitCode::internal);
}

}  // namespace muster
