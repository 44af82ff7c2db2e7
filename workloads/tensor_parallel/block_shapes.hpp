#pragma once
/// The closed form of what exact tensor parallelism sums.

#include <cstdint>
#include <vector>

#include "workloads/common/image_training/parameters.hpp"

namespace muster::workloads {

/// Elements an image.
struct BlockShape {
  std::int64_t input_elements = 0;   ///< summed in the backward pass
  std::int64_t output_elements = 0;  ///< of conv2, summed in the forward pass
};

/// Of the blocks of a ResNet-18 or -34, in order.
std::vector<BlockShape> block_shapes(const ImageParameters& parameters);

}  // namespace muster::workloads
