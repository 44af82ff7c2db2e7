#pragma once
/// One attempt at a task, from this rank's side.

#include <filesystem>

namespace muster {

/// Starts MPI, runs the task's workload and returns this rank's exit status: 0 or ExitCode::stopped. A
/// failure on any rank writes failure-RANK.json, ends the whole gang and does not return.
int run_gang_task(const std::filesystem::path& task_folder, int attempt);

}  // namespace muster
