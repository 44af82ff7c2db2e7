#pragma once
/// Which samples make up which batch, on which rank.

#include <cstdint>
#include <span>
#include <vector>

namespace muster::workloads {

/// How the ranks share the samples.
struct BatchSplit {
  std::vector<std::int64_t> batches;  ///< samples of a step, one entry a rank
  bool fixed = false;  ///< a rank sees its own part of the set alone, the same in all epochs; false: each
                       ///< epoch is split anew

  std::int64_t global_batch() const;
};

/// Throws Error(config) where the batch is not a multiple of `ranks`, or no larger than 0.
BatchSplit even_split(std::int64_t global_batch, int ranks);

/// As near to the shares as whole samples are: largest remainders, the lower rank where they are equal.
/// Throws Error(config) where a share is not positive or a rank would get no sample.
BatchSplit split_by_shares(std::int64_t global_batch, const std::vector<double>& shares);

/// Global batches of an epoch and each rank's part of them. An epoch is a permutation that depends on the
/// seed and the epoch alone; global batch b is its b-th run of so many samples; the ranks take contiguous
/// parts of it, in rank order. So 1 and N ranks see the same global batches in the same order, unless the
/// split is fixed: then a permutation of the seed alone is cut into a part a rank, and a rank goes through
/// its part in the epoch's order. The samples after the last whole batch are left out of that epoch; another
/// epoch's order brings them in.
class ShardedSampler {
 public:
  /// Throws Error(config) where the global batch exceeds `samples`.
  ShardedSampler(std::int64_t samples, const BatchSplit& split, std::uint64_t seed, int rank);
  /// Evenly. Throws Error(config) as even_split too.
  ShardedSampler(std::int64_t samples, std::int64_t global_batch, std::uint64_t seed, int rank, int ranks)
      : ShardedSampler(samples, even_split(global_batch, ranks), seed, rank) {}

  std::int64_t steps_per_epoch() const { return samples_ / global_batch_; }
  std::int64_t global_batch() const { return global_batch_; }
  std::int64_t local_batch() const { return local_batch_; }

  /// This rank's samples of one step. Valid until the next call.
  std::span<const std::int64_t> batch(std::int64_t epoch, std::int64_t step_in_epoch);

 private:
  std::int64_t samples_;
  std::int64_t global_batch_;
  std::int64_t local_batch_;
  std::int64_t before_;  ///< samples of a global batch that lower ranks take
  std::uint64_t seed_;
  std::vector<bool> own_;  ///< of a fixed split: which samples are this rank's
  std::int64_t ordered_epoch_ = -1;
  std::vector<std::int64_t> order_;
};

/// A rank's half-open range of a set that all ranks together cover exactly once, as evaluation does. Sizes
/// differ by at most one.
struct ShardRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
ShardRange evaluation_shard(std::int64_t samples, int rank, int ranks);

/// Epoch's permutation of 0..samples-1 (Fisher-Yates over counter-based draws).
std::vector<std::int64_t> epoch_order(std::int64_t samples, std::uint64_t seed, std::int64_t epoch);

}  // namespace muster::workloads
