#pragma once
/// The ranks show each other what they compute on before the workload starts.

#include <filesystem>

#include "runner/binding.hpp"
#include "runner/comm/queued_communicator.hpp"

namespace muster {

/// Every rank must call this. Rank 0 keeps the reports in `file` and prints a line, and one for each warning.
/// Throws Error(resources), the same on every rank, where the gang must not start (judge_binding);
/// Error(storage) on rank 0.
void prove_binding(QueuedCommunicator& control, const RankBinding& own, const std::filesystem::path& file);

}  // namespace muster
