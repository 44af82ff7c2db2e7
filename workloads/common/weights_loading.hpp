#pragma once
/// A weights file into a network.

#include <torch/torch.h>

#include "core/weights/tensor_matching.hpp"
#include "core/weights/weights_file.hpp"

namespace muster::workloads {

/// Fills parameters and running statistics by name (see match_tensors for prefixes and dialects), in the
/// network's types. What the rules let be unfilled keeps its values. Throws Error(data) that names every
/// tensor unused, every parameter unfilled and every shape that differs, unless the rules allow it; then
/// nothing was changed.
Matching load_weights(torch::nn::Module& network, const WeightsFile& file, const MatchingRules& rules = {});

}  // namespace muster::workloads
