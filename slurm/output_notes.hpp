#pragma once
/// What Slurm writes into a job's or a step's own output when it ends it: known long after squeue has
/// forgotten the job, and where there is no sacct.

#include <cstddef>
#include <string>

namespace muster {

/// Notes stand at the end of an output, if anywhere: within so many bytes of it.
inline constexpr std::size_t kNotesWithin = 1 << 16;

/// "TIMEOUT", "NODE_FAIL", "PREEMPTED", "OUT_OF_MEMORY", "CANCELLED", as squeue names it; empty where Slurm
/// wrote nothing. The last line that says why counts for more than one that says only that.
std::string state_noted_in(const std::string& output);

}  // namespace muster
