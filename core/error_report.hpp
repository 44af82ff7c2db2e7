#pragma once
/// How a program's main ends when something was thrown.

namespace muster {

/// Only inside a catch block. Prints `PROGRAM: error: ...` to stderr and returns the exit code that belongs
/// to it; what is not an Error counts as a bug (ExitCode::internal).
int report_current_exception(const char* program);

}  // namespace muster
