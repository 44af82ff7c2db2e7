#pragma once
/// What batch normalisation's kernels share. Memory is read as seldom as can be: once for the statistics,
/// once for what follows; backward twice likewise. A thread keeps to its channels, 16 bytes of them where
/// they are aligned, and goes down the rows of its block's slab.

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "workloads/common/cuda/launch.cuh"
#include "workloads/common/kernels/kernels.hpp"
#include "workloads/common/layers/cuda/norm_kernels.hpp"

namespace muster::workloads::device {

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
__device__ Real larger(Real a, Real b) {
  return a > b ? a : b;
}

// ---- on the host

inline std::int64_t rows_of(const DeviceNormCall& call) { return call.images * call.height * call.width; }
inline std::int64_t items_of(const DeviceNormCall& call) {
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
inline std::int64_t blocks_of(const Tiling& t) { return std::int64_t{t.slabs} * t.tiles; }
inline std::int64_t joining_blocks(const Tiling& t) { return parts_of(t.channels, kLanes); }
constexpr std::int64_t kAnyNumber = std::int64_t{1} << 30;

inline bool aligned(std::initializer_list<const void*> pointers) {
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
inline Blocks blocks_in(const DeviceNormCall& call) { return {static_cast<std::uint32_t>(call.width)}; }

}  // namespace muster::workloads::device
