#pragma once
/// Which samples make up which batch, on which rank.

#include <cstdint>
#include <span>
#include <vector>

namespace muster::workloads {

/// Global batches of an epoch and each rank's part of them. An epoch is a permutation that depends on the
/// seed and the epoch alone; global batch b is its b-th run of `global_batch` samples; rank r of N takes the
/// r-th of N equal contiguous parts. So 1 and N ranks see the same global batches in the same order. The
/// samples after the last whole batch are left out of that epoch; another epoch's order brings them in.
class ShardedSampler {
 public:
  /// Throws Error(config) where the global batch is not a multiple of `ranks`, is no larger than 0 or exceeds
  /// `samples`.
  ShardedSampler(std::int64_t samples, std::int64_t global_batch, std::uint64_t seed, int rank, int ranks);

  std::int64_t steps_per_epoch() const { return samples_ / global_batch_; }
  std::int64_t global_batch() const { return global_batch_; }
  std::int64_t local_batch() const { return global_batch_ / ranks_; }

  /// This rank's samples of one step. Valid until the next call.
  std::span<const std::int64_t> batch(std::int64_t epoch, std::int64_t step_in_epoch);

 private:
  std::int64_t samples_;
  std::int64_t global_batch_;
  std::uint64_t seed_;
  int rank_;
  int ranks_;
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
