#pragma once
/// What gangs are started with here.

#include <filesystem>

#include "launcher/gang_plan.hpp"

namespace muster {

/// Where this process's program lies.
std::filesystem::path program_folder();

/// The programs in `program_folder`; in a bundle also the MPI that it carries, and the machine's LibTorch.
GangPrograms find_gang_programs(const std::filesystem::path& program_folder);

/// Throws Error(workload) where `task` runs a workload of a bundle and the machine has no LibTorch for it.
void require_torch(const Task& task, const GangPrograms& programs);

/// The full path of a command as execvp would find it, seen from `folder`; nullopt where there is none.
std::optional<std::filesystem::path> find_command(const std::string& command,
                                                  const std::filesystem::path& folder);

}  // namespace muster
