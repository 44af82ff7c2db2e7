#include "workloads/tensor_parallel/block_shapes.hpp"

#include "core/error.hpp"
#include "workloads/common/data/image_set.hpp"
#include "workloads/common/models/resnet.hpp"
#include "workloads/common/models/width.hpp"

namespace muster::workloads {

std::vector<BlockShape> block_shapes(const ImageParameters& parameters) {
  const auto shape = resnet_shape(parameters.network);
  MUSTER_ASSERT(shape && !shape->bottleneck);
  const auto halved = [](std::int64_t side) { return (side + 1) / 2; };  // 3x3 with stride 2 and padding 1
  std::int64_t side = parameters.image_side > 0 ? parameters.image_side : kImageSide;
  if (shape->imagenet_stem) side = halved(halved(side));
  std::int64_t channels = scaled_width(shape->channels, parameters.width);
  std::vector<BlockShape> shapes;
  for (std::size_t stage = 0; stage < 4; ++stage) {
    const std::int64_t out = scaled_width(shape->channels << stage, parameters.width);
    for (int i = 0; i < shape->blocks[stage]; ++i) {
      const std::int64_t out_side = i == 0 && stage > 0 ? halved(side) : side;
      shapes.push_back({channels * side * side, out * out_side * out_side});
      channels = out;
      side = out_side;
    }
  }
  return shapes;
}

}  // namespace muster::workloads
