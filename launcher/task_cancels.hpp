#pragma once
/// Tasks of a run that are to end while its others go on: a file each in the run's folder.

#include <map>

#include "core/run_paths.hpp"
#include "launcher/stop_signals.hpp"

namespace muster {

/// How each task that somebody cancelled is to end.
using TaskCancels = std::map<int, StopSignals::Request>;

/// The launcher that drives the run, or the next one of its job, lets the task save and stop, or kills it,
/// and begins it no more. Throws Error(storage).
void ask_to_cancel(const RunPaths& run, int task, StopSignals::Request how);

TaskCancels read_cancels(const RunPaths& run);

/// Whoever goes on with the run goes on with them.
void forget_cancels(const RunPaths& run);

}  // namespace muster
