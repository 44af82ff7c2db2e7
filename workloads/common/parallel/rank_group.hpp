#pragma once
/// The ranks that hold one network in parts (tensor parallelism; Shoeybi et al. 2019, "Megatron-LM").

#include <torch/torch.h>

#include <cstdint>

#include "workloads/common/tensor_collectives.hpp"
#include "workloads/common/time_mark.hpp"

namespace muster::workloads {

/// Channels or features [begin, begin + length) of a whole.
struct SplitRange {
  std::int64_t begin = 0;
  std::int64_t length = 0;
};

/// What sums over the ranks have cost, in one direction of one layer.
struct SumCost {
  TimeSum waits;           ///< of the computing thread, or the GPU's stream
  std::int64_t bytes = 0;  ///< of the tensors that were summed
  std::int64_t sums = 0;
};

/// A sum over the ranks under way. Ends waited for, or the gang dies.
class RankSum {
 public:
  RankSum() = default;
  RankSum(PendingWork work, c10::Device device, SumCost* cost)
      : work_(std::move(work)), device_(device), cost_(cost) {}
  void wait();

 private:
  PendingWork work_;  ///< null: nothing to wait for
  c10::Device device_ = c10::kCPU;
  SumCost* cost_ = nullptr;
};

/// Every rank must make it, split alike and sum alike. It must outlive all layers and their backward passes.
class RankGroup {
 public:
  /// Without `sums` nothing is summed: each rank goes on with its own part's result.
  explicit RankGroup(TensorCollectives collectives, bool sums = true)
      : collectives_(std::move(collectives)), sums_(sums) {}

  const TensorCollectives& collectives() const { return collectives_; }
  int rank() const { return collectives_.rank(); }
  int size() const { return collectives_.size(); }

  /// What this rank has of `total`: parts differ by one at the most, the first ones are longer. Throws
  /// Error(config) where there are more ranks than channels.
  SplitRange part_of(std::int64_t total) const { return part_of(total, rank()); }
  SplitRange part_of(std::int64_t total, int rank) const;

  /// Starts to replace `tensor`, dense and of the same layout on every rank, by the ranks' sum; it must live
  /// and not be touched until wait(). Bitwise the same on all ranks. `cost` may be null.
  RankSum sum_in_place(const torch::Tensor& tensor, SumCost* cost) const;

 private:
  TensorCollectives collectives_;
  bool sums_;
};

/// Megatron's f: the identity, whose gradient is summed over the ranks. For what every rank takes whole and
/// uses with its own part of a weight. Differentiable once.
torch::Tensor take_whole(const torch::Tensor& input, const RankGroup& group,
                         SumCost* backward_cost = nullptr);

/// Megatron's g: the sum over the ranks, whose gradient is the identity. For partial results that every rank
/// goes on with whole. Differentiable once.
torch::Tensor sum_parts(const torch::Tensor& input, const RankGroup& group, SumCost* forward_cost = nullptr);

}  // namespace muster::workloads
