#pragma once
/// Workload plugins as shared objects.

#include <filesystem>

#include "runner/workload.hpp"

namespace muster {

/// Loads a plugin, for the rest of the process's life: libraries like torch cannot be unloaded. Throws
/// Error(workload) where the file is missing, needs a library that is not there, is no plugin, or was built
/// for another ABI.
const WorkloadPlugin& load_plugin(const std::filesystem::path& file);

/// Writes a plugin's schema as the manifest that the launcher reads. Throws Error(workload) and
/// Error(storage).
void describe_plugin(const std::filesystem::path& file, const std::filesystem::path& manifest);

}  // namespace muster
