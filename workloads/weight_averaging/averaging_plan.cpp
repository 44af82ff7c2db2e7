#include "workloads/weight_averaging/averaging_plan.hpp"

namespace muster::workloads {

bool AveragingPlan::due_after(std::int64_t step) const {
  if (step == total_steps || step <= switch_step) return true;
  if (period == 0) return step % steps_per_epoch == 0;
  return (step - switch_step) % period == 0;
}

std::int64_t all_reduce_bytes_sent(ExchangeAlgorithm algorithm, int rank, int ranks, std::int64_t bytes) {
  if (ranks == 1) return 0;
  switch (algorithm) {
    case ExchangeAlgorithm::ring:
      return 2 * (ranks - 1) * (bytes / ranks);
    case ExchangeAlgorithm::parameter_server:
      return rank == 0 ? (ranks - 1) * bytes : bytes;
    case ExchangeAlgorithm::tree: {
      std::int64_t copies = rank == 0 ? 0 : 1;
      for (int distance = 1; distance < ranks && (rank & distance) == 0; distance *= 2)
        if (rank + distance < ranks) ++copies;
      return copies * bytes;
    }
    case ExchangeAlgorithm::library:
      break;
  }
  return 0;
}

}  // namespace muster::workloads
