#pragma once
/// Which run of an experiment a command means.

#include <optional>

#include "core/run_paths.hpp"

namespace muster {

/// The newest run that has a plan, by its folder's name (a time); nullopt where there is none.
std::optional<RunPaths> newest_run(const ExperimentPaths& experiment);

}  // namespace muster
