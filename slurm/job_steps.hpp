#pragma once
/// Steps of a job, by name.

#include <string>

namespace muster {

/// Ends every step of `job` that has this name, by SIGKILL; returns how many there were, 0 where Slurm does
/// not answer.
int cancel_steps(const std::string& job, const std::string& step_name);

}  // namespace muster
