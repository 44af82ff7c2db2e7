#pragma once
/// What batch normalisation's kernels share. Memory is read as seldom as can be: once for the statistics,
/// once for what follows; backward twice likewise.

#include <cmath>

#include "workloads/common/layers/cuda/channels_last.cuh"

namespace muster::workloads::device {

constexpr std::int64_t kMostSlabs = 512;  // whose sums are joined
constexpr unsigned kStrands = 32;         // that join slabs' sums, of 32 channels each

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

/// x * scale + shift of a thread's channels.
template <class Real, int kWidth>
struct ChannelLines {
  __device__ ChannelLines(const Real* map, std::int64_t channels, std::int64_t first) {
    load_table(map, first, scale);
    load_table(map + channels, first, shift);
  }
  __device__ Real operator()(int k, Real x) const { return x * scale[k] + shift[k]; }
  Real scale[kWidth], shift[kWidth];
};

template <class Real>
__device__ Real larger(Real a, Real b) {
  return a > b ? a : b;
}

/// x * P(normal variable <= x), the exact GELU (Hendrycks and Gimpel 2016), and its derivative.
__device__ inline float error_function(float x) { return erff(x); }
__device__ inline double error_function(double x) { return erf(x); }
__device__ inline float exponential(float x) { return expf(x); }
__device__ inline double exponential(double x) { return exp(x); }
template <class Real>
__device__ Real normal_cdf(Real x) {
  return Real(0.5) * (1 + error_function(x * Real(0.70710678118654752440)));
}
template <class Real>
__device__ Real gelu(Real x) {
  return x * normal_cdf(x);
}
template <class Real>
__device__ Real gelu_slope(Real x) {
  return normal_cdf(x) + x * (Real(0.39894228040143267794) * exponential(Real(-0.5) * x * x));
}

// ---- on the host

inline std::int64_t joining_blocks(const Tiling& t) { return parts_of(t.channels, kLanes); }

/// Rows, or 2x2 blocks of them.
inline std::int64_t items_of(const DeviceLayerCall& call, AfterNorm after) {
  return after == AfterNorm::relu_pool ? rows_of(call) / 4 : rows_of(call);
}
inline Blocks blocks_in(const DeviceLayerCall& call) { return {static_cast<std::uint32_t>(call.width)}; }

template <class Real>
Real floor_of(AfterNorm after) {
  return after == AfterNorm::nothing ? -static_cast<Real>(INFINITY) : Real(0);
}

/// body(`after` as a type). Without anything behind it a normalisation is one whose ReLU has no floor.
template <class Body>
void with_after(AfterNorm after, const Body& body) {
  switch (after) {
    case AfterNorm::relu_pool:
      return body(std::integral_constant<AfterNorm, AfterNorm::relu_pool>{});
    case AfterNorm::gelu:
      return body(std::integral_constant<AfterNorm, AfterNorm::gelu>{});
    default:
      return body(std::integral_constant<AfterNorm, AfterNorm::relu>{});
  }
}

}  // namespace muster::workloads::device
