#include "workloads/common/layers/cuda/norm.cuh"

namespace muster::workloads::device {
namespace {

/// Sums of x less the slab's first row, and of its squares.
template <class Element, int kWidth>
__global__ void sum_batch(const Element* __restrict__ x, Tiling t, RealOf<Element>* __restrict__ partials) {
  using Real = RealOf<Element>;
  const Place place(t);
  Real sums[kWidth] = {}, squares[kWidth] = {};
  if (place.has_work(t)) {
    const Element* column = x + place.first_channel(t, kWidth);
    Real origin[kWidth];
    load(column + place.begin * t.channels, origin);
#pragma unroll 4
    for (std::int64_t row = place.begin + place.lane; row < place.end; row += t.lanes) {
      Real value[kWidth];
      load(column + row * t.channels, value);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const Real apart = value[k] - origin[k];
        sums[k] += apart;
        squares[k] += apart * apart;
      }
    }
  }
  join_lanes(sums, squares, place, t, partials);
}

template <class Real>
struct Layer {
  const Real* weight;
  const Real* bias;
  Real* running_mean;
  Real* running_var;
  double epsilon, momentum;
};

/// Joins the slabs' sums: their mean first, then squares about it (Chan, Golub and LeVeque 1983).
template <class Element>
__global__ void settle_batch(const Element* __restrict__ x, Tiling t,
                             const RealOf<Element>* __restrict__ partials, Layer<RealOf<Element>> layer,
                             double* __restrict__ moments, RealOf<Element>* __restrict__ map) {
  using Real = RealOf<Element>;
  const Strand strand(t);
  const std::int64_t c = strand.channel;
  const auto count = static_cast<double>(t.items);
  const std::int64_t slabs = strand.has_channel ? t.slabs : 0;
  const auto origin_of = [&](std::int64_t slab) {
    return static_cast<double>(Arithmetic<Element>::load(x[slab * t.items_of_slab * t.channels + c]));
  };
  double total = 0;
  for (std::int64_t slab = strand.number; slab < slabs; slab += kStrands)
    total += items_in(slab, t) * origin_of(slab) + partials[slab * 2 * t.channels + c];
  const double mean = strand.join(total) / count;
  double spread = 0;
  for (std::int64_t slab = strand.number; slab < slabs; slab += kStrands) {
    const double items = items_in(slab, t);
    const double sum = partials[slab * 2 * t.channels + c];
    const double gap = origin_of(slab) + sum / items - mean;
    spread += partials[(slab * 2 + 1) * t.channels + c] - sum * sum / items + items * gap * gap;
  }
  spread = strand.join(spread);
  if (strand.number != 0 || !strand.has_channel) return;
  const double inverse = 1 / sqrt(spread / count + layer.epsilon);
  const double scale = static_cast<double>(layer.weight[c]) * inverse;
  moments[c] = mean;
  moments[t.channels + c] = inverse;
  map[c] = static_cast<Real>(scale);
  map[t.channels + c] = static_cast<Real>(static_cast<double>(layer.bias[c]) - mean * scale);
  const auto kept = static_cast<Real>(1 - layer.momentum), replaced = static_cast<Real>(layer.momentum);
  const double variance = spread / (count > 1 ? count - 1 : 1);
  layer.running_mean[c] = kept * layer.running_mean[c] + replaced * static_cast<Real>(mean);
  layer.running_var[c] = kept * layer.running_var[c] + replaced * static_cast<Real>(variance);
}

template <class Element, int kWidth, AfterNorm kAfter>
__global__ void apply_rows(const Element* __restrict__ x, const Element* __restrict__ skip, Tiling t,
                           const RealOf<Element>* __restrict__ map, RealOf<Element> floor,
                           Element* __restrict__ y) {
  using Real = RealOf<Element>;
  const Place place(t);
  if (!place.has_work(t)) return;
  const std::int64_t channel = place.first_channel(t, kWidth);
  const ChannelLines<Real, kWidth> line(map, t.channels, channel);
#pragma unroll 4
  for (std::int64_t row = place.begin + place.lane; row < place.end; row += t.lanes) {
    const std::int64_t at = row * t.channels + channel;
    Real value[kWidth], added[kWidth] = {};
    load(x + at, value);
    if (skip != nullptr) load(skip + at, added);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      const Real normalised = line(k, value[k]) + added[k];
      value[k] = kAfter == AfterNorm::gelu ? gelu(normalised) : larger(normalised, floor);
    }
    store(y + at, value);
  }
}

template <class Element, int kWidth>
__global__ void apply_blocks(const Element* __restrict__ x, Tiling t, Blocks blocks,
                             const RealOf<Element>* __restrict__ map, Element* __restrict__ y) {
  using Real = RealOf<Element>;
  const Place place(t);
  if (!place.has_work(t)) return;
  const std::int64_t channel = place.first_channel(t, kWidth);
  const ChannelLines<Real, kWidth> line(map, t.channels, channel);
  for (std::int64_t block = place.begin + place.lane; block < place.end; block += t.lanes) {
    const Element* corner = x + blocks.first_row(block) * t.channels + channel;
    Real top[kWidth] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Real value[kWidth];
      load(corner + ((i / 2) * blocks.width + i % 2) * t.channels, value);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) top[k] = larger(line(k, value[k]), top[k]);
    }
    store(y + block * t.channels + channel, top);
  }
}

}  // namespace

std::size_t norm_scratch_bytes(DeviceLayerCall call) {
  const std::int64_t rows = rows_of(call), slabs = rows < kMostSlabs ? rows : kMostSlabs;
  const std::size_t of_each = call.element == LayerElement::f64 ? sizeof(double) : sizeof(float);
  return static_cast<std::size_t>((2 * slabs + 3) * call.channels) * of_each;
}

cudaError_t norm_statistics(const void* x, DeviceNormLayer layer, double* moments, void* map, void* scratch,
                            DeviceLayerCall call) {
  return with_form(call, {x}, [&](auto element, auto width) {
    using Element = decltype(element);
    using Real = RealOf<Element>;
    const Tiling t = tiling<decltype(width)::value>(call, rows_of(call), kMostSlabs);
    const auto* from = static_cast<const Element*>(x);
    auto* partials = static_cast<Real*>(scratch);
    const Layer<Real> typed{static_cast<const Real*>(layer.weight),
                            static_cast<const Real*>(layer.bias),
                            static_cast<Real*>(layer.running_mean),
                            static_cast<Real*>(layer.running_var),
                            layer.epsilon,
                            layer.momentum};
    Launches launches(call.stream);
    launches.run(blocks_of(t), kThreads, sum_batch<Element, decltype(width)::value>, from, t, partials);
    launches.run(joining_blocks(t), kLanes * kStrands, settle_batch<Element>, from, t, partials, typed,
                 moments, static_cast<Real*>(map));
    return launches.result();
  });
}

cudaError_t norm_apply(const void* x, const void* skip, const void* map, AfterNorm after, void* y,
                       DeviceLayerCall call) {
  return with_form(call, {x, skip, y}, [&](auto element, auto width) {
    using Element = decltype(element);
    using Real = RealOf<Element>;
    constexpr int kWidth = decltype(width)::value;
    const Tiling t = tiling<kWidth>(call, items_of(call, after), kAnyNumber);
    const auto* from = static_cast<const Element*>(x);
    const auto* typed_map = static_cast<const Real*>(map);
    auto* to = static_cast<Element*>(y);
    Launches launches(call.stream);
    with_after(after, [&](auto form) {
      constexpr AfterNorm kAfter = decltype(form)::value;
      if constexpr (kAfter == AfterNorm::relu_pool) {
        launches.run(blocks_of(t), kThreads, apply_blocks<Element, kWidth>, from, t, blocks_in(call),
                     typed_map, to);
      } else {
        launches.run(blocks_of(t), kThreads, apply_rows<Element, kWidth, kAfter>, from,
                     static_cast<const Element*>(skip), t, typed_map, floor_of<Real>(after), to);
      }
    });
    return launches.result();
  });
}

}  // namespace muster::workloads::device
