#pragma once
/// Dropout (Srivastava et al. 2014) whose masks are a function of seed, epoch, sample and unit.

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

namespace muster::workloads {

/// 0 with probability `rate`, else 1 / (1 - rate): [samples, units] of `type`. Neither order, batches, ranks
/// nor a resume change what a sample gets in an epoch. Layers of the same seed draw apart by their `site`,
/// below 256.
torch::Tensor dropout_mask(std::span<const std::int64_t> samples, std::int64_t epoch, std::int64_t units,
                           double rate, std::uint64_t seed, torch::Dtype type, std::uint32_t site = 0);

/// The dropout of all a network's layers in training.
class SampleDropout {
 public:
  explicit SampleDropout(std::uint64_t seed) : seed_(seed) {}
  /// Which samples the next pass sees, in order.
  void begin_batch(std::span<const std::int64_t> samples, std::int64_t epoch) {
    samples_.assign(samples.begin(), samples.end());
    epoch_ = epoch;
  }
  /// x, [samples, ...], with units at zero and the others scaled up.
  torch::Tensor operator()(const torch::Tensor& x, double rate, std::uint32_t site = 0) const;

 private:
  std::uint64_t seed_;
  std::vector<std::int64_t> samples_;
  std::int64_t epoch_ = 0;
};

}  // namespace muster::workloads
