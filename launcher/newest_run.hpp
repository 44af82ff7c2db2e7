#pragma once
/// Which run of an experiment a command means.

#include <optional>
#include <vector>

#include "core/run_paths.hpp"

namespace muster {

/// The runs that have a plan, newest first, by their folders' names (times).
std::vector<RunPaths> runs_of(const ExperimentPaths& experiment);

/// nullopt where there is none.
std::optional<RunPaths> newest_run(const ExperimentPaths& experiment);

}  // namespace muster
