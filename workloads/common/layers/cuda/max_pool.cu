#include "workloads/common/layers/cuda/channels_last.cuh"

namespace muster::workloads::device {
namespace {

/// 2x2 blocks of images, numbered by rows; those at an odd image's edge have fewer than four places.
struct EdgedBlocks {
  struct Block {
    std::uint32_t image, line, column;
  };
  __device__ Block block(std::int64_t number) const {
    const auto at = static_cast<std::uint32_t>(number);
    return {at / (lines * columns), at / columns % lines, at % columns};
  }
  __device__ bool has(const Block& block, int place) const {
    return block.line * 2 + place / 2 < height && block.column * 2 + place % 2 < width;
  }
  __device__ std::int64_t row(const Block& block, int place) const {
    return (std::int64_t{block.image} * height + block.line * 2 + place / 2) * width + block.column * 2 +
           place % 2;
  }
  std::uint32_t height, width, lines, columns;  ///< `lines` x `columns` blocks are numbered of each image
};

template <int kWidth>
using Places = Vector<std::uint8_t, kWidth>;

template <class Element, int kWidth>
__global__ void pool(const Element* __restrict__ x, Tiling t, EdgedBlocks blocks, Element* __restrict__ y,
                     std::uint8_t* __restrict__ which) {
  using Real = RealOf<Element>;
  const Place place(t);
  if (!place.has_work(t)) return;
  const std::int64_t channel = place.first_channel(t, kWidth);
  for (std::int64_t item = place.begin + place.lane; item < place.end; item += t.lanes) {
    const auto block = blocks.block(item);
    Real best[kWidth];
    load(x + blocks.row(block, 0) * t.channels + channel, best);
    Places<kWidth> places{};
#pragma unroll
    for (int i = 1; i < 4; ++i) {
      Real value[kWidth];
      load(x + blocks.row(block, i) * t.channels + channel, value);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const bool larger = value[k] > best[k] || value[k] != value[k];
        best[k] = larger ? value[k] : best[k];
        places.at[k] = larger ? static_cast<std::uint8_t>(i) : places.at[k];
      }
    }
    store(y + item * t.channels + channel, best);
    *reinterpret_cast<Places<kWidth>*>(which + item * t.channels + channel) = places;
  }
}

template <class Element, int kWidth>
__global__ void pool_backward(const Element* __restrict__ dy, const std::uint8_t* __restrict__ which,
                              Tiling t, EdgedBlocks blocks, Element* __restrict__ dx) {
  using Real = RealOf<Element>;
  const Place place(t);
  if (!place.has_work(t)) return;
  const std::int64_t channel = place.first_channel(t, kWidth);
  for (std::int64_t item = place.begin + place.lane; item < place.end; item += t.lanes) {
    const auto block = blocks.block(item);
    Real gradient[kWidth] = {};
    Places<kWidth> places{};
    const bool is_whole = blocks.has(block, 3);
    if (is_whole) {
      const std::int64_t lines = blocks.height / 2, columns = blocks.width / 2;
      const std::int64_t at =
          ((block.image * lines + block.line) * columns + block.column) * t.channels + channel;
      load(dy + at, gradient);
      places = *reinterpret_cast<const Places<kWidth>*>(which + at);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (!is_whole && !blocks.has(block, i)) continue;
      Real share[kWidth];
#pragma unroll
      for (int k = 0; k < kWidth; ++k) share[k] = places.at[k] == i ? gradient[k] : Real(0);
      store(dx + blocks.row(block, i) * t.channels + channel, share);
    }
  }
}

/// Whole blocks, or with those at the edges.
EdgedBlocks blocks_in(const DeviceLayerCall& call, bool with_edges) {
  const auto height = static_cast<std::uint32_t>(call.height), width = static_cast<std::uint32_t>(call.width);
  const std::uint32_t more = with_edges ? 1 : 0;
  return {height, width, (height + more) / 2, (width + more) / 2};
}

}  // namespace

cudaError_t max_pool(const void* x, void* y, std::uint8_t* which, DeviceLayerCall call) {
  return with_form(call, {x, y, which}, [&](auto element, auto width) {
    using Element = decltype(element);
    constexpr int kWidth = decltype(width)::value;
    const EdgedBlocks blocks = blocks_in(call, false);
    const Tiling t = tiling<kWidth>(call, call.images * blocks.lines * blocks.columns, kAnyNumber);
    Launches launches(call.stream);
    launches.run(blocks_of(t), kThreads, pool<Element, kWidth>, static_cast<const Element*>(x), t, blocks,
                 static_cast<Element*>(y), which);
    return launches.result();
  });
}

cudaError_t max_pool_backward(const void* dy, const std::uint8_t* which, void* dx, DeviceLayerCall call) {
  return with_form(call, {dy, which, dx}, [&](auto element, auto width) {
    using Element = decltype(element);
    constexpr int kWidth = decltype(width)::value;
    const EdgedBlocks blocks = blocks_in(call, true);
    const Tiling t = tiling<kWidth>(call, call.images * blocks.lines * blocks.columns, kAnyNumber);
    Launches launches(call.stream);
    launches.run(blocks_of(t), kThreads, pool_backward<Element, kWidth>, static_cast<const Element*>(dy),
                 which, t, blocks, static_cast<Element*>(dx));
    return launches.result();
  });
}

}  // namespace muster::workloads::device
