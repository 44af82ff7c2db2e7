#pragma once
/// The programs' own lines for a person, on stderr. A task's output is its gang's business, not this.

#include <string>

namespace muster {

enum class LogLevel { debug, info, warning, error };

/// Lines read `12:04:55 PROGRAM: warning: TEXT`; those below `level` are dropped. Before the first call lines
/// go out as from `muster`, from info on. Not while other threads log.
void start_log(const std::string& program, LogLevel level = LogLevel::info);

/// Thread-safe.
void log(LogLevel level, const std::string& text);

}  // namespace muster
