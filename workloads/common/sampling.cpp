#include "workloads/common/sampling.hpp"

#include <numeric>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {

std::vector<std::int64_t> epoch_order(std::int64_t samples, std::uint64_t seed, std::int64_t epoch) {
  const CounterRandom random(seed, RandomStream::order);
  std::vector<std::int64_t> order(static_cast<std::size_t>(samples));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    const auto bits = random.draw(static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(i))[0];
    std::swap(order[i - 1], order[below(bits, static_cast<std::uint32_t>(i))]);
  }
  return order;
}

ShardedSampler::ShardedSampler(std::int64_t samples, std::int64_t global_batch, std::uint64_t seed, int rank,
                               int ranks)
    : samples_(samples), global_batch_(global_batch), seed_(seed), rank_(rank), ranks_(ranks) {
  MUSTER_ASSERT(ranks > 0 && rank >= 0 && rank < ranks);
  if (global_batch <= 0 || global_batch % ranks != 0) {
    throw Error(ExitCode::config,
                "a global batch of " + std::to_string(global_batch) + " cannot be split evenly over " +
                    std::to_string(ranks) +
                    " ranks, and a mean over ranks would then weigh samples unequally",
                "choose a batch that is a multiple of the ranks");
  }
  if (global_batch > samples) {
    throw Error(ExitCode::config,
                "a global batch of " + std::to_string(global_batch) + " is larger than the " +
                    std::to_string(samples) + " training samples",
                "choose a smaller batch or more data");
  }
}

std::span<const std::int64_t> ShardedSampler::batch(std::int64_t epoch, std::int64_t step_in_epoch) {
  MUSTER_ASSERT(epoch >= 0 && step_in_epoch >= 0 && step_in_epoch < steps_per_epoch());
  if (epoch != ordered_epoch_) {
    order_ = epoch_order(samples_, seed_, epoch);
    ordered_epoch_ = epoch;
  }
  const auto first = static_cast<std::size_t>(step_in_epoch * global_batch_ + rank_ * local_batch());
  return std::span<const std::int64_t>(order_).subspan(first, static_cast<std::size_t>(local_batch()));
}

ShardRange evaluation_shard(std::int64_t samples, int rank, int ranks) {
  return {samples * rank / ranks, samples * (rank + 1) / ranks};
}

}  // namespace muster::workloads
