// Batch normalisation of channels-last images, memory read as seldom as can be: once for the statistics, once
// for what follows; backward twice likewise. A thread keeps to its channels, 16 bytes of them where they are
// aligned, and goes down the rows of its block's slab.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <initializer_list>

#include "workloads/common/cuda/launch.cuh"
#include "workloads/common/kernels/kernels.hpp"
#include "workloads/common/layers/cuda/norm_kernels.hpp"

namespace muster::workloads::device {
namespace {

constexpr std::size_t kVectorBytes = 16;
constexpr std::int64_t kMostSlabs = 512;     // whose sums are joined
constexpr std::int64_t kItemsOfAThread = 8;  // at least, where there are so many
constexpr unsigned kStrands = 32;            // that join slabs' sums, of 32 channels each

template <class Element>
struct Arithmetic {
  using Real = Element;
  __device__ static Real load(Element value) { return value; }
  __device__ static Element store(Real value) { return value; }
};
template <>
struct Arithmetic<Bf16> {
  using Real = float;
  __device__ static float load(Bf16 value) { return __uint_as_float(std::uint32_t{value.bits} << 16); }
  __device__ static Bf16 store(float value) { return {__bfloat16_as_ushort(__float2bfloat16_rn(value))}; }
};
template <class Element>
using RealOf = typename Arithmetic<Element>::Real;

template <class Element, int kWidth>
struct alignas(sizeof(Element) * kWidth) Vector {
  Element at[kWidth];
};

template <int kWidth, class Element>
__device__ void load(const Element* memory, RealOf<Element> (&values)[kWidth]) {
  const auto vector = *reinterpret_cast<const Vector<Element, kWidth>*>(memory);
#pragma unroll
  for (int k = 0; k < kWidth; ++k) values[k] = Arithmetic<Element>::load(vector.at[k]);
}
template <int kWidth, class Element>
__device__ void store(Element* memory, const RealOf<Element> (&values)[kWidth]) {
  Vector<Element, kWidth> vector;
#pragma unroll
  for (int k = 0; k < kWidth; ++k) vector.at[k] = Arithmetic<Element>::store(values[k]);
  *reinterpret_cast<Vector<Element, kWidth>*>(memory) = vector;
}
/// A thread's channels of a table of one value a channel.
template <int kWidth, class Real>
__device__ void load_table(const Real* table, std::int64_t channel, Real (&values)[kWidth]) {
#pragma unroll
  for (int k = 0; k < kWidth; ++k) values[k] = table[channel + k];
}

/// Items, rows or 2x2 blocks of them, in slabs of consecutive ones; channels in tiles of as many groups of a
/// vector's width as a block has threads for. A block has one slab of one tile, and `lanes` of its items at
/// a time.
struct Tiling {
  std::int64_t channels, items, items_of_slab;
  unsigned groups, groups_of_tile, lanes, tiles, slabs;
};

/// What of it is this thread's.
struct Place {
  __device__ explicit Place(const Tiling& t)
      : lane(threadIdx.x / t.groups_of_tile),
        tile(blockIdx.x % t.tiles),
        group(threadIdx.x % t.groups_of_tile),
        slab(blockIdx.x / t.tiles),
        begin(slab * t.items_of_slab),
        end(begin + t.items_of_slab < t.items ? begin + t.items_of_slab : t.items) {}
  __device__ std::int64_t first_channel(const Tiling& t, int width) const {
    return std::int64_t{tile * t.groups_of_tile + group} * width;
  }
  __device__ bool has_work(const Tiling& t) const {
    return lane < t.lanes && tile * t.groups_of_tile + group < t.groups;
  }
  unsigned lane, tile, group;
  std::int64_t slab, begin, end;
};

/// 2x2 blocks of images, numbered by rows.
struct Blocks {
  __device__ std::int64_t first_row(std::int64_t block) const {
    const auto number = static_cast<std::uint32_t>(block);
    const std::uint32_t line = number / (width / 2), column = number % (width / 2);
    return std::int64_t{line} * 2 * width + std::int64_t{column} * 2;
  }
  std::uint32_t width;
};

/// Adds up what the lanes of a block have, in order: partials[slab][2][channels].
template <int kWidth, class Real>
__device__ void join_lanes(const Real (&one)[kWidth], const Real (&other)[kWidth], const Place& place,
                           const Tiling& t, Real* partials) {
  __shared__ Real all[2 * kThreads * kWidth];
  const unsigned columns = t.groups_of_tile * kWidth;
  if (place.lane < t.lanes) {
    for (int k = 0; k < kWidth; ++k) {
      all[place.lane * columns + place.group * kWidth + k] = one[k];
      all[(t.lanes + place.lane) * columns + place.group * kWidth + k] = other[k];
    }
  }
  __syncthreads();
  for (unsigned i = threadIdx.x; i < 2 * columns; i += kThreads) {
    const unsigned which = i / columns, column = i % columns;
    Real sum = 0;
    for (unsigned lane = 0; lane < t.lanes; ++lane) sum += all[(which * t.lanes + lane) * columns + column];
    const std::int64_t channel = std::int64_t{place.tile} * columns + column;
    if (channel < t.channels) partials[(place.slab * 2 + which) * t.channels + channel] = sum;
  }
}

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

/// A block's 32 channels by 32 strands, each of which goes through its share of the slabs.
struct Strand {
  __device__ explicit Strand(const Tiling& t)
      : number(threadIdx.x / kLanes),
        channel(std::int64_t{blockIdx.x} * kLanes + lane_of_thread()),
        has_channel(channel < t.channels) {}
  /// The sum over all strands of a channel, for each of them.
  __device__ double join(double mine) const {
    __shared__ double all[kStrands * kLanes];
    __syncthreads();
    all[number * kLanes + lane_of_thread()] = mine;
    __syncthreads();
    double sum = 0;
    for (unsigned strand = 0; strand < kStrands; ++strand) sum += all[strand * kLanes + lane_of_thread()];
    return sum;
  }
  unsigned number;
  std::int64_t channel;
  bool has_channel;
};

__device__ inline double items_in(std::int64_t slab, const Tiling& t) {
  const std::int64_t left = t.items - slab * t.items_of_slab;
  return static_cast<double>(left < t.items_of_slab ? left : t.items_of_slab);
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

template <class Real>
__device__ Real larger(Real a, Real b) {
  return a > b ? a : b;
}

template <class Element, int kWidth>
__global__ void apply_rows(const Element* __restrict__ x, const Element* __restrict__ skip, Tiling t,
                           const RealOf<Element>* __restrict__ map, RealOf<Element> floor,
                           Element* __restrict__ y) {
  using Real = RealOf<Element>;
  const Place place(t);
  if (!place.has_work(t)) return;
  const std::int64_t channel = place.first_channel(t, kWidth);
  Real scale[kWidth], shift[kWidth];
  load_table(map, channel, scale);
  load_table(map + t.channels, channel, shift);
#pragma unroll 4
  for (std::int64_t row = place.begin + place.lane; row < place.end; row += t.lanes) {
    const std::int64_t at = row * t.channels + channel;
    Real value[kWidth], added[kWidth] = {};
    load(x + at, value);
    if (skip != nullptr) load(skip + at, added);
#pragma unroll
    for (int k = 0; k < kWidth; ++k) value[k] = larger(value[k] * scale[k] + shift[k] + added[k], floor);
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
  Real scale[kWidth], shift[kWidth];
  load_table(map, channel, scale);
  load_table(map + t.channels, channel, shift);
  for (std::int64_t block = place.begin + place.lane; block < place.end; block += t.lanes) {
    const Element* corner = x + blocks.first_row(block) * t.channels + channel;
    Real top[kWidth] = {};
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      Real value[kWidth];
      load(corner + ((i / 2) * blocks.width + i % 2) * t.channels, value);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) top[k] = larger(value[k] * scale[k] + shift[k], top[k]);
    }
    store(y + block * t.channels + channel, top);
  }
}

/// Of one layer's backward pass: its memory, and how far its ReLU is open.
template <class Element>
struct Backward {
  const Element* __restrict__ x;
  const Element* __restrict__ y;  ///< where there was a skip
  const Element* __restrict__ dy;
  const RealOf<Element>* __restrict__ map;
  RealOf<Element> floor;
  Blocks blocks;
};

/// body(offset in memory, x, g) of each vector of a thread's: g is the gradient that passes what follows the
/// normalisation. Through the maximum of a 2x2 block all of it goes to the first largest, if above 0.
template <bool kPool, int kWidth, class Element, class Body>
__device__ void for_gradients(const Backward<Element>& pass, const Place& place, const Tiling& t,
                              const Body& body) {
  using Real = RealOf<Element>;
  const std::int64_t channel = place.first_channel(t, kWidth);
  Real scale[kWidth], shift[kWidth];
  load_table(pass.map, channel, scale);
  load_table(pass.map + t.channels, channel, shift);
#pragma unroll 2
  for (std::int64_t item = place.begin + place.lane; item < place.end; item += t.lanes) {
    Real gradient[kWidth];
    load(pass.dy + item * t.channels + channel, gradient);
    if constexpr (kPool) {
      const std::int64_t corner = pass.blocks.first_row(item) * t.channels + channel;
      Real value[4][kWidth], top[kWidth] = {};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        load(pass.x + corner + ((i / 2) * pass.blocks.width + i % 2) * t.channels, value[i]);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) top[k] = larger(value[i][k] * scale[k] + shift[k], top[k]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        Real share[kWidth];
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          const bool takes = top[k] > 0 && value[i][k] * scale[k] + shift[k] == top[k];
          share[k] = takes ? gradient[k] : Real(0);
          gradient[k] = takes ? Real(0) : gradient[k];
        }
        body(corner + ((i / 2) * pass.blocks.width + i % 2) * t.channels, value[i], share);
      }
    } else {
      const std::int64_t at = item * t.channels + channel;
      Real value[kWidth], after[kWidth] = {};
      load(pass.x + at, value);
      if (pass.y != nullptr) load(pass.y + at, after);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const bool open = pass.y != nullptr ? after[k] > 0 : value[k] * scale[k] + shift[k] > pass.floor;
        gradient[k] = open ? gradient[k] : Real(0);
      }
      body(at, value, gradient);
    }
  }
}

/// Sums of g, and of g times x less its mean.
template <class Element, int kWidth, bool kPool>
__global__ void sum_gradients(Backward<Element> pass, Tiling t, const double* __restrict__ moments,
                              RealOf<Element>* __restrict__ partials) {
  using Real = RealOf<Element>;
  const Place place(t);
  Real sums[kWidth] = {}, products[kWidth] = {};
  if (place.has_work(t)) {
    Real mean[kWidth];
    for (int k = 0; k < kWidth; ++k) mean[k] = static_cast<Real>(moments[place.first_channel(t, kWidth) + k]);
    for_gradients<kPool, kWidth>(pass, place, t,
                                 [&](std::int64_t, const Real(&x)[kWidth], const Real(&g)[kWidth]) {
#pragma unroll
                                   for (int k = 0; k < kWidth; ++k) {
                                     sums[k] += g[k];
                                     products[k] += g[k] * (x[k] - mean[k]);
                                   }
                                 });
  }
  join_lanes(sums, products, place, t, partials);
}

/// dx = scale * (g - mean(g) - normalised * mean(g * normalised)) = g * terms[0] + x * terms[1] + terms[2], a
/// channel each. `rows`: of the batch.
template <class Real>
__global__ void settle_gradients(Tiling t, double rows, const Real* __restrict__ partials,
                                 const Real* __restrict__ weight, const double* __restrict__ moments,
                                 Real* __restrict__ weight_gradient, Real* __restrict__ bias_gradient,
                                 Real* __restrict__ terms) {
  const Strand strand(t);
  const std::int64_t c = strand.channel;
  const std::int64_t slabs = strand.has_channel ? t.slabs : 0;
  double sum = 0, product = 0;
  for (std::int64_t slab = strand.number; slab < slabs; slab += kStrands) {
    sum += partials[slab * 2 * t.channels + c];
    product += partials[(slab * 2 + 1) * t.channels + c];
  }
  sum = strand.join(sum);
  product = strand.join(product);
  if (strand.number != 0 || !strand.has_channel) return;
  const double mean = moments[c], inverse = moments[t.channels + c];
  product *= inverse;
  const double scale = static_cast<double>(weight[c]) * inverse;
  const double slope = -scale * inverse * product / rows;
  weight_gradient[c] = static_cast<Real>(product);
  bias_gradient[c] = static_cast<Real>(sum);
  terms[c] = static_cast<Real>(scale);
  terms[t.channels + c] = static_cast<Real>(slope);
  terms[2 * t.channels + c] = static_cast<Real>(-scale * sum / rows - slope * mean);
}

template <class Element, int kWidth, bool kPool>
__global__ void apply_gradients(Backward<Element> pass, Tiling t, const RealOf<Element>* __restrict__ terms,
                                Element* __restrict__ dx, Element* __restrict__ skip_gradient) {
  using Real = RealOf<Element>;
  const Place place(t);
  if (!place.has_work(t)) return;
  Real a[kWidth], b[kWidth], c[kWidth];
  const std::int64_t channel = place.first_channel(t, kWidth);
  load_table(terms, channel, a);
  load_table(terms + t.channels, channel, b);
  load_table(terms + 2 * t.channels, channel, c);
  for_gradients<kPool, kWidth>(pass, place, t,
                               [&](std::int64_t at, const Real(&x)[kWidth], const Real(&g)[kWidth]) {
                                 Real out[kWidth];
#pragma unroll
                                 for (int k = 0; k < kWidth; ++k) out[k] = g[k] * a[k] + x[k] * b[k] + c[k];
                                 store(dx + at, out);
                                 if (skip_gradient != nullptr) store(skip_gradient + at, g);
                               });
}

// ---- on the host

std::int64_t rows_of(const DeviceNormCall& call) { return call.images * call.height * call.width; }
std::int64_t items_of(const DeviceNormCall& call) {
  return call.after == AfterNorm::relu_pool ? rows_of(call) / 4 : rows_of(call);
}

template <int kWidth>
Tiling tiling(const DeviceNormCall& call, std::int64_t items, std::int64_t most_slabs) {
  Tiling t{};
  t.channels = call.channels;
  t.items = items;
  t.groups = static_cast<unsigned>(call.channels / kWidth);
  t.groups_of_tile = t.groups < kThreads ? t.groups : kThreads;
  t.lanes = kThreads / t.groups_of_tile;
  t.tiles = static_cast<unsigned>(parts_of(t.groups, t.groups_of_tile));
  const std::int64_t least = t.lanes * kItemsOfAThread, share = parts_of(items, most_slabs);
  t.items_of_slab = share > least ? share : least;
  t.slabs = static_cast<unsigned>(parts_of(items, t.items_of_slab));
  return t;
}
std::int64_t blocks_of(const Tiling& t) { return std::int64_t{t.slabs} * t.tiles; }
std::int64_t joining_blocks(const Tiling& t) { return parts_of(t.channels, kLanes); }
constexpr std::int64_t kAnyNumber = std::int64_t{1} << 30;

bool aligned(std::initializer_list<const void*> pointers) {
  for (const void* pointer : pointers) {
    if (reinterpret_cast<std::uintptr_t>(pointer) % kVectorBytes != 0) return false;
  }
  return true;
}

/// body(an Element, its vectors' width as a type), as `call` and the pointers allow.
template <int kWidth>
struct Width {
  static constexpr int value = kWidth;
};
template <class Element, class Body>
cudaError_t with_width(const DeviceNormCall& call, std::initializer_list<const void*> pointers,
                       const Body& body) {
  constexpr int kWide = kVectorBytes / sizeof(Element);
  if (call.channels % kWide == 0 && aligned(pointers)) return body(Element{}, Width<kWide>{});
  return body(Element{}, Width<1>{});
}
template <class Body>
cudaError_t with_form(const DeviceNormCall& call, std::initializer_list<const void*> pointers,
                      const Body& body) {
  switch (call.element) {
    case NormElement::f64:
      return with_width<double>(call, pointers, body);
    case NormElement::bf16:
      return with_width<Bf16>(call, pointers, body);
    default:
      return with_width<float>(call, pointers, body);
  }
}

template <class Real>
Real floor_of(AfterNorm after) {
  return after == AfterNorm::nothing ? -static_cast<Real>(INFINITY) : Real(0);
}
Blocks blocks_in(const DeviceNormCall& call) { return {static_cast<std::uint32_t>(call.width)}; }

}  // namespace

std::size_t norm_scratch_bytes(DeviceNormCall call) {
  const std::int64_t rows = rows_of(call), slabs = rows < kMostSlabs ? rows : kMostSlabs;
  const std::size_t of_each = call.element == NormElement::f64 ? sizeof(double) : sizeof(float);
  return static_cast<std::size_t>((2 * slabs + 3) * call.channels) * of_each;
}

cudaError_t norm_statistics(const void* x, DeviceNormLayer layer, double* moments, void* map,
                            DeviceNormCall call) {
  return with_form(call, {x}, [&](auto element, auto width) {
    using Element = decltype(element);
    using Real = RealOf<Element>;
    const Tiling t = tiling<decltype(width)::value>(call, rows_of(call), kMostSlabs);
    const auto* from = static_cast<const Element*>(x);
    auto* partials = static_cast<Real*>(call.scratch);
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

cudaError_t norm_apply(const void* x, const void* skip, const void* map, void* y, DeviceNormCall call) {
  return with_form(call, {x, skip, y}, [&](auto element, auto width) {
    using Element = decltype(element);
    using Real = RealOf<Element>;
    constexpr int kWidth = decltype(width)::value;
    const Tiling t = tiling<kWidth>(call, items_of(call), kAnyNumber);
    const auto* from = static_cast<const Element*>(x);
    Launches launches(call.stream);
    if (call.after == AfterNorm::relu_pool) {
      launches.run(blocks_of(t), kThreads, apply_blocks<Element, kWidth>, from, t, blocks_in(call),
                   static_cast<const Real*>(map), static_cast<Element*>(y));
    } else {
      launches.run(blocks_of(t), kThreads, apply_rows<Element, kWidth>, from,
                   static_cast<const Element*>(skip), t, static_cast<const Real*>(map),
                   floor_of<Real>(call.after), static_cast<Element*>(y));
    }
    return launches.result();
  });
}

cudaError_t norm_backward(const void* x, const void* y, const void* dy, const void* weight,
                          const double* moments, const void* map, DeviceNormGradients gradients,
                          DeviceNormCall call) {
  return with_form(call, {x, y, dy, gradients.x, gradients.skip}, [&](auto element, auto width) {
    using Element = decltype(element);
    using Real = RealOf<Element>;
    constexpr int kWidth = decltype(width)::value;
    const bool pool = call.after == AfterNorm::relu_pool;
    const Tiling summed = tiling<kWidth>(call, items_of(call), kMostSlabs);
    const Tiling applied = tiling<kWidth>(call, items_of(call), kAnyNumber);
    const Backward<Element> pass{static_cast<const Element*>(x),  static_cast<const Element*>(y),
                                 static_cast<const Element*>(dy), static_cast<const Real*>(map),
                                 floor_of<Real>(call.after),      blocks_in(call)};
    auto* partials = static_cast<Real*>(call.scratch);
    Real* terms = partials + 2 * std::int64_t{summed.slabs} * call.channels;
    Launches launches(call.stream);
    launches.run(blocks_of(summed), kThreads,
                 pool ? sum_gradients<Element, kWidth, true> : sum_gradients<Element, kWidth, false>, pass,
                 summed, moments, partials);
    launches.run(joining_blocks(summed), kLanes * kStrands, settle_gradients<Real>, summed,
                 static_cast<double>(rows_of(call)), partials, static_cast<const Real*>(weight), moments,
                 static_cast<Real*>(gradients.weight), static_cast<Real*>(gradients.bias), terms);
    launches.run(blocks_of(applied), kThreads,
                 pool ? apply_gradients<Element, kWidth, true> : apply_gradients<Element, kWidth, false>,
                 pass, applied, terms, static_cast<Element*>(gradients.x),
                 static_cast<Element*>(gradients.skip));
    return launches.result();
  });
}

}  // namespace muster::workloads::device
