#pragma once
/// From the workload that an experiment names to its schema and plugin. No plugin is loaded here.

#include <filesystem>
#include <vector>

#include "core/experiment.hpp"
#include "core/workload_schema.hpp"

namespace muster {

/// Where the built-in workloads lie: ../lib/muster/workloads from this program's own folder.
std::filesystem::path built_in_workloads_folder();

/// `exec`; a path (with a '/' or ending in .so, relative to the experiment's file), whose manifest lies
/// beside it; else a built-in's name. Throws Error(config) for an unknown name, Error(workload) where the
/// plugin is missing, or its manifest missing, damaged or, for a path, older than the plugin.
FoundWorkload find_workload(const Experiment& experiment,
                            const std::filesystem::path& built_in_folder = built_in_workloads_folder());

/// Of each stage, in their order; without stages the one.
std::vector<FoundWorkload> find_workloads(
    const Experiment& experiment, const std::filesystem::path& built_in_folder = built_in_workloads_folder());

}  // namespace muster
