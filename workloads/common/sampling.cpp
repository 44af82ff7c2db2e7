#include "workloads/common/sampling.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {
namespace {

constexpr std::int64_t kSplitEpoch =
    0xFFFFFFFF;  // No epoch's number: the permutation that a fixed split cuts.

}  // namespace

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

std::int64_t BatchSplit::global_batch() const {
  return std::accumulate(batches.begin(), batches.end(), std::int64_t{0});
}

BatchSplit even_split(std::int64_t global_batch, int ranks) {
  MUSTER_ASSERT(ranks > 0);
  if (global_batch <= 0 || global_batch % ranks != 0) {
    throw Error(ExitCode::config,
                "a global batch of " + std::to_string(global_batch) + " cannot be split evenly over " +
                    std::to_string(ranks) +
                    " ranks, and a mean over ranks would then weigh samples unequally",
                "choose a batch that is a multiple of the ranks");
  }
  return {std::vector<std::int64_t>(static_cast<std::size_t>(ranks), global_batch / ranks)};
}

BatchSplit split_by_shares(std::int64_t global_batch, const std::vector<double>& shares) {
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  BatchSplit split;
  std::vector<std::pair<double, std::size_t>> remainders;
  for (std::size_t r = 0; r < shares.size(); ++r) {
    const double exact = static_cast<double>(global_batch) * shares[r] / sum;
    split.batches.push_back(static_cast<std::int64_t>(std::floor(exact)));
    remainders.emplace_back(std::floor(exact) - exact, r);
  }
  std::sort(remainders.begin(), remainders.end());
  const std::int64_t left = global_batch - split.global_batch();
  for (std::int64_t i = 0; i < left; ++i) ++split.batches[remainders[static_cast<std::size_t>(i)].second];
  if (!std::all_of(shares.begin(), shares.end(), [](double share) { return share > 0; }) ||
      *std::min_element(split.batches.begin(), split.batches.end()) < 1) {
    throw Error(ExitCode::config,
                "a batch of " + std::to_string(global_batch) +
                    " leaves some rank without a sample (each takes its share of every batch)",
                "choose a larger batch, or larger shares for that rank");
  }
  return split;
}

ShardedSampler::ShardedSampler(std::int64_t samples, const BatchSplit& split, std::uint64_t seed, int rank)
    : samples_(samples),
      global_batch_(split.global_batch()),
      local_batch_(split.batches.at(static_cast<std::size_t>(rank))),
      before_(std::accumulate(split.batches.begin(), split.batches.begin() + rank, std::int64_t{0})),
      seed_(seed) {
  if (global_batch_ > samples) {
    throw Error(ExitCode::config,
                "a global batch of " + std::to_string(global_batch_) + " is larger than the " +
                    std::to_string(samples) + " training samples",
                "choose a smaller batch or more data");
  }
  if (!split.fixed) return;
  // Every part is large enough: floor(x + y) - floor(x) is no less than floor(y).
  const auto order = epoch_order(samples, seed, kSplitEpoch);
  own_.assign(static_cast<std::size_t>(samples), false);
  for (std::int64_t i = samples * before_ / global_batch_;
       i < samples * (before_ + local_batch_) / global_batch_; ++i)
    own_[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = true;
}

std::span<const std::int64_t> ShardedSampler::batch(std::int64_t epoch, std::int64_t step_in_epoch) {
  MUSTER_ASSERT(epoch >= 0 && step_in_epoch >= 0 && step_in_epoch < steps_per_epoch());
  if (epoch != ordered_epoch_) {
    order_ = epoch_order(samples_, seed_, epoch);
    if (!own_.empty())
      std::erase_if(order_, [&](std::int64_t sample) { return !own_[static_cast<std::size_t>(sample)]; });
    ordered_epoch_ = epoch;
  }
  const std::int64_t first =
      own_.empty() ? step_in_epoch * global_batch_ + before_ : step_in_epoch * local_batch_;
  return std::span<const std::int64_t>(order_).subspan(static_cast<std::size_t>(first),
                                                       static_cast<std::size_t>(local_batch_));
}

ShardRange evaluation_shard(std::int64_t samples, int rank, int ranks) {
  return {samples * rank / ranks, samples * (rank + 1) / ranks};
}

}  // namespace muster::workloads
