#include "workloads/weight_averaging/averaging_plan.hpp"

namespace muster::workloads {

bool AveragingPlan::due_after(std::int64_t step) const {
  if (step == total_steps || step <= switch_step) return true;
  if (period == 0) return step % steps_per_epoch == 0;
  return (step - switch_step) % period == 0;
}

}  // namespace muster::workloads
