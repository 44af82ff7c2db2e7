#pragma once
/// The ranks show each other what they compute on before the workload starts.

#include <filesystem>
#include <vector>

#include "runner/binding.hpp"
#include "runner/comm/queued_communicator.hpp"

namespace muster {

/// Every rank must call this; returns all reports, in order of ranks. Rank 0 keeps them in `file` and prints
/// a line, and one for each warning. Throws Error(resources), the same on every rank, where the gang must not
/// start (judge_binding); Error(storage) on rank 0.
std::vector<RankBinding> prove_binding(QueuedCommunicator& control, const RankBinding& own,
                                       const std::filesystem::path& file);

}  // namespace muster
