#pragma once
/// When ranks average.

#include <cstdint>

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

}  // namespace muster::workloads
