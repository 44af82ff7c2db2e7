#pragma once
/// What the launcher leaves in a task's folder beside the attempts: links to the newest outputs, and
/// done.json.

#include <string>

#include "core/run_paths.hpp"

namespace muster {

/// log.txt, metrics.h5 and metrics*.csv of the task's folder become relative links to those of the attempt
/// that exist. Throws Error(storage).
void link_outputs(const TaskPaths& task, int attempt);

/// Throws Error(storage).
void write_done(const TaskPaths& task, const std::string& id, int attempt, double seconds);

}  // namespace muster
