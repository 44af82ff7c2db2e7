#pragma once
/// Dropout (Srivastava et al. 2014) whose masks are a function of seed, epoch, sample and unit.

#include <torch/torch.h>

#include <cstdint>
#include <span>

namespace muster::workloads {

/// 0 with probability `rate`, else 1 / (1 - rate): [samples, units] of `type`. Neither order, batches, ranks
/// nor a resume change what a sample gets in an epoch.
torch::Tensor dropout_mask(std::span<const std::int64_t> samples, std::int64_t epoch, std::int64_t units,
                           double rate, std::uint64_t seed, torch::Dtype type);

}  // namespace muster::workloads
