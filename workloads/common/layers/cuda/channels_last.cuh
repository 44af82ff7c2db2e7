#pragma once
/// How kernels go through channels-last images. A thread keeps to its channels, 16 bytes of them where they
/// are aligned, and goes down the rows of its block's slab.

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>

#include "workloads/common/cuda/launch.cuh"
#include "workloads/common/kernels/kernels.hpp"
#include "workloads/common/layers/cuda/layer_kernels.hpp"

namespace muster::workloads::device {

constexpr std::size_t kVectorBytes = 16;
constexpr std::int64_t kItemsOfAThread = 8;  // at least, where there are so many

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

// ---- on the host

inline std::int64_t rows_of(const DeviceLayerCall& call) { return call.images * call.height * call.width; }
template <int kWidth>
Tiling tiling(const DeviceLayerCall& call, std::int64_t items, std::int64_t most_slabs) {
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
cudaError_t with_width(const DeviceLayerCall& call, std::initializer_list<const void*> pointers,
                       const Body& body) {
  constexpr int kWide = kVectorBytes / sizeof(Element);
  if (call.channels % kWide == 0 && aligned(pointers)) return body(Element{}, Width<kWide>{});
  return body(Element{}, Width<1>{});
}
template <class Body>
cudaError_t with_form(const DeviceLayerCall& call, std::initializer_list<const void*> pointers,
                      const Body& body) {
  switch (call.element) {
    case LayerElement::f64:
      return with_width<double>(call, pointers, body);
    case LayerElement::bf16:
      return with_width<Bf16>(call, pointers, body);
    default:
      return with_width<float>(call, pointers, body);
  }
}

}  // namespace muster::workloads::device
