#include "workloads/common/layers/cuda/channels_last.cuh"

namespace muster::workloads::device {
namespace {

struct Shape {
  std::int64_t pixels;
  int height, width;
};

/// As if the image went on mirrored at its border.
__device__ int reflected(int at, int size) {
  at = at < 0 ? -at : at;
  return at >= size ? 2 * (size - 1) - at : at;
}

/// A thread has a pixel: where it comes from, and what its bytes become; from nowhere comes 0.
template <class Element>
__global__ void fill(const std::uint8_t* __restrict__ stored, const Element* __restrict__ values,
                     const DeviceDraw* __restrict__ draws, DeviceBatch how, Shape shape,
                     Element* __restrict__ batch) {
  for (std::int64_t pixel = thread_of_grid(); pixel < shape.pixels; pixel += threads_of_grid()) {
    const auto number = static_cast<std::uint32_t>(pixel);
    const auto width = static_cast<std::uint32_t>(shape.width),
               height = static_cast<std::uint32_t>(shape.height);
    const int x = static_cast<int>(number % width), y = static_cast<int>(number / width % height);
    const DeviceDraw draw = draws[number / (width * height)];
    int row = y + draw.crop_row, column = (draw.flip != 0 ? shape.width - 1 - x : x) + draw.crop_column;
    if (how.reflect) {
      row = reflected(row, shape.height);
      column = reflected(column, shape.width);
    }
    const bool cut = y >= draw.cutout_row && y < draw.cutout_row + how.cutout && x >= draw.cutout_column &&
                     x < draw.cutout_column + how.cutout;
    const bool seen = !cut && row >= 0 && row < shape.height && column >= 0 && column < shape.width;
    const std::int64_t from = (std::int64_t{draw.sample} * shape.height + row) * shape.width + column;
    for (int c = 0; c < 3; ++c)
      batch[3 * pixel + c] = seen ? values[3 * stored[3 * from + c] + c] : Element{};
  }
}

}  // namespace

cudaError_t make_batch(const std::uint8_t* stored, const void* values, const DeviceDraw* draws,
                       DeviceBatch how, void* batch, DeviceLayerCall call) {
  return with_form(call, {}, [&](auto element, auto) {
    using Element = decltype(element);
    const Shape shape{rows_of(call), static_cast<int>(call.height), static_cast<int>(call.width)};
    Launches launches(call.stream);
    launches.run(striding_blocks(shape.pixels), kThreads, fill<Element>, stored,
                 static_cast<const Element*>(values), draws, how, shape, static_cast<Element*>(batch));
    return launches.result();
  });
}

}  // namespace muster::workloads::device
