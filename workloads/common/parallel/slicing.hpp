#pragma once
/// Whole tensors into the parts that ranks hold, and back.

#include <torch/torch.h>

#include <map>
#include <string>
#include <vector>

#include "workloads/common/parallel/rank_group.hpp"
#include "workloads/common/sgd.hpp"

namespace muster::workloads {

/// The shapes of a network's tensors when one rank holds it whole, by name.
using WholeShapes = std::map<std::string, std::vector<std::int64_t>>;
WholeShapes shapes_of(const NamedTensors& whole);

/// `part` becomes this rank's part of `whole`, which differs from it in one dimension at the most. Not
/// differentiable.
void copy_part(const torch::Tensor& whole, const torch::Tensor& part, const RankGroup& group);

/// copy_part of every tensor; both lists have the same names in the same order.
void copy_parts(const NamedTensors& whole, const NamedTensors& part, const RankGroup& group);

/// Collective: the whole tensor from every rank's part; `part` itself, or a copy of it, where it is whole
/// already.
torch::Tensor gather_whole(const torch::Tensor& part, const std::vector<std::int64_t>& whole_shape,
                           const RankGroup& group);

}  // namespace muster::workloads
