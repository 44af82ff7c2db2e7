#pragma once
/// When ranks average, and what an average costs on the wire.

#include <cstdint>

#include "runner/communicator.hpp"

namespace muster::workloads {

/// Every step until `switch_step`, then every `period` steps (post-local SGD, Lin et al. 2020, "Don't Use
/// Large Mini-Batches, Use Local SGD"), and after the last step.
struct AveragingPlan {
  std::int64_t period = 1;  ///< steps; 0: at the end of each epoch
  std::int64_t switch_step = 0;
  std::int64_t steps_per_epoch = 1;
  std::int64_t total_steps = 1;

  /// Whether an average follows once `step` steps are done.
  bool due_after(std::int64_t step) const;
  /// Whether step number `step` (from 1) was made on weights that ranks keep to themselves for a while.
  bool is_local(std::int64_t step) const { return step > switch_step; }
};

/// Bytes that `rank` sends in an all-reduce of `bytes`, a multiple of the ranks times the element's size:
/// ring 2(N-1)/N of them, tree one copy to the parent and one to each child, parameter_server one a worker
/// and N-1 at rank 0. 0 for `library`, which does not tell.
std::int64_t all_reduce_bytes_sent(ExchangeAlgorithm algorithm, int rank, int ranks, std::int64_t bytes);

}  // namespace muster::workloads
