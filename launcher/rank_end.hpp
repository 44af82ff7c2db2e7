#pragma once
/// rank-R: how a rank of a step ended, written on its own host. srun returns 0 where it could not start a
/// rank (a PMIx socket left over) and where it lost the node of one: only what the ranks say themselves
/// counts.

#include <string>
#include <vector>

#include "core/run_paths.hpp"

namespace muster {

/// Runs `command` (without a shell, null-terminated) as the rank that $SLURM_PROCID names of the attempt that
/// $MUSTER_ATTEMPT names, writes its rank-R at the start and at the end, and ends as the command did. Signals
/// are the command's: Slurm sends them to every process of a step.
int run_rank(char** command);

bool any_rank_started(const AttemptPaths& attempt, int count);

/// Ranks of `count` whose rank-R does not say that they returned 0. Waits a moment for what a network file
/// system shows late.
std::vector<int> ranks_without_good_end(const AttemptPaths& attempt, int count);

}  // namespace muster
