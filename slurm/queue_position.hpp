#pragma once
/// How many jobs a waiting one has before it.

#include <optional>
#include <string>

#include "slurm/job_state.hpp"

namespace muster {

/// Jobs of anybody that wait in the same partition with a higher priority, or the same one and an earlier id.
/// Asks squeue once. nullopt where it does not tell, or `status` does not wait.
std::optional<int> jobs_ahead(const JobStatus& status);

/// Pure part: `squeue -h -t PD -o "%i|%Q"`; each waiting element of an array counts. nullopt where `job` is
/// not among them.
std::optional<int> jobs_ahead_in(const std::string& text, const std::string& job);

}  // namespace muster
