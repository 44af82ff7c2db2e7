#pragma once
/// tasks.json: every task of a run, resolved. Jobs work from it and need no experiment file.

#include <vector>

#include "core/run_paths.hpp"
#include "launcher/plan.hpp"

namespace muster {

/// The plan's tasks with their numbers, in its order; one file however many they are. Throws Error(storage).
void write_run_tasks(const RunPaths& run, const Plan& plan);

/// Each exactly as it was written; none is refused. Throws Error(storage) where the file is missing or
/// damaged.
std::vector<PlannedTask> read_run_tasks(const RunPaths& run);

}  // namespace muster
