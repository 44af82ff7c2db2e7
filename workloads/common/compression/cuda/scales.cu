// Compiled without contraction of products and sums.
#include <cuda_runtime.h>

#include "workloads/common/compression/cuda/kernels.hpp"
#include "workloads/common/compression/cuda/report.cuh"
#include "workloads/common/cuda/launch.cuh"

namespace muster::workloads::device {
namespace {

constexpr std::int64_t kLeastPart = 16384;  // elements of a bucket for one block
constexpr std::int64_t kMostParts = 1024;   // blocks of a bucket
constexpr std::int64_t kLeastBucket = 512;

struct Moments {
  double sum, squares;
};

__device__ inline Moments added(Moments a, Moments b) { return {a.sum + b.sum, a.squares + b.squares}; }

// The sum of a warp's lanes in lane 0, always in one order.
__device__ inline Moments sum_of_warp(Moments mine) {
#pragma unroll
  for (unsigned apart = kLanes / 2; apart > 0; apart /= 2)
    mine =
        added(mine, {__shfl_down_sync(kAll, mine.sum, apart), __shfl_down_sync(kAll, mine.squares, apart)});
  return mine;
}

__global__ void clear(DeviceReport* report) { *report = {0, 0}; }

__global__ void look(const float* __restrict__ x, std::int64_t count, DeviceReport* report) {
  std::uint32_t largest = 0;
#pragma unroll 4
  for (std::int64_t i = thread_of_grid(); i < count; i += threads_of_grid()) {
    const std::uint32_t magnitude = __float_as_uint(x[i]) & 0x7FFFFFFF;
    largest = magnitude > largest ? magnitude : largest;
  }
  raise_largest(largest, report);
}

// Elements from, and below, which a part is.
struct Stretch {
  std::int64_t begin, end;
};

__device__ inline Stretch stretch_of(std::int64_t count, std::int64_t bucket, std::int64_t parts) {
  const std::int64_t first = std::int64_t{blockIdx.x} / parts * bucket;
  const std::int64_t last = first + bucket < count ? first + bucket : count;
  const std::int64_t length = (last - first + parts - 1) / parts;
  const std::int64_t begin = first + std::int64_t{blockIdx.x} % parts * length;
  return {begin, begin + length < last ? begin + length : last};
}

// A block a part.
__global__ void sum_parts(const float* __restrict__ x, std::int64_t count, std::int64_t bucket,
                          std::int64_t parts, Moments* out) {
  __shared__ Moments of_warp[kWarps];
  const auto [begin, end] = stretch_of(count, bucket, parts);
  Moments mine{0, 0};
#pragma unroll 4
  for (std::int64_t i = begin + threadIdx.x; i < end; i += kThreads) {
    const double value = x[i];
    mine = added(mine, {value, value * value});
  }
  mine = sum_of_warp(mine);
  if (lane_of_thread() == 0) of_warp[threadIdx.x / kLanes] = mine;
  __syncthreads();
  if (threadIdx.x > 0) return;
  for (unsigned warp = 1; warp < kWarps; ++warp) mine = added(mine, of_warp[warp]);
  out[blockIdx.x] = mine;
}

// A warp a bucket.
__global__ void add_parts(const Moments* __restrict__ of_part, std::int64_t buckets, std::int64_t parts,
                          Moments* out) {
  const std::int64_t bucket = thread_of_grid() / kLanes;
  if (bucket >= buckets) return;
  Moments mine{0, 0};
  for (std::int64_t part = lane_of_thread(); part < parts; part += kLanes)
    mine = added(mine, of_part[bucket * parts + part]);
  mine = sum_of_warp(mine);
  if (lane_of_thread() == 0) out[bucket] = mine;
}

__global__ void store_norms(const Moments* __restrict__ of_bucket, std::int64_t buckets, float* norms,
                            DeviceReport* report) {
  std::uint32_t largest = 0;
  for (std::int64_t i = thread_of_grid(); i < buckets; i += threads_of_grid()) {
    norms[i] = static_cast<float>(sqrt(of_bucket[i].squares));
    const std::uint32_t bits = __float_as_uint(norms[i]) & 0x7FFFFFFF;
    largest = bits > largest ? bits : largest;
  }
  raise_largest(largest, report);
}

__global__ void store_ternary_scale(const DeviceReport* own, const Moments* all, std::int64_t count,
                                    double clip, float* scale, DeviceReport* report) {
  const float largest = __uint_as_float(own->largest);
  float limit = __builtin_inff();
  if (clip > 0) {
    const auto n = static_cast<double>(count);
    const double mean = all->sum / n;
    const double variance = all->squares / n - mean * mean;
    limit = static_cast<float>(clip * sqrt(variance > 0 ? variance : 0));
  }
  scale[0] = limit < largest ? limit : largest;
  scale[1] = limit;
  atomicMax(&report->largest, own->largest);
}

// Where they are in scratch memory.
struct Sums {
  DeviceReport* own;   // 16 bytes
  Moments* of_bucket;  // one a bucket
  Moments* of_part;    // parts_of_bucket a bucket
};

std::int64_t parts_of_bucket(std::int64_t bucket) {
  const std::int64_t parts = bucket / kLeastPart;
  return parts < 1 ? 1 : parts < kMostParts ? parts : kMostParts;
}

Sums sums_in(void* scratch, std::int64_t buckets) {
  auto* of_bucket = reinterpret_cast<Moments*>(static_cast<std::byte*>(scratch) + sizeof(Moments));
  return {static_cast<DeviceReport*>(scratch), of_bucket, of_bucket + buckets};
}

void run_moments(Launches& launches, const float* x, std::int64_t count, std::int64_t bucket, Sums sums) {
  const std::int64_t buckets = parts_of(count, bucket), parts = parts_of_bucket(bucket);
  launches.run(buckets * parts, kThreads, sum_parts, x, count, bucket, parts, sums.of_part);
  launches.run(parts_of(buckets, kWarps), kThreads, add_parts, sums.of_part, buckets, parts, sums.of_bucket);
}

}  // namespace

std::size_t scale_scratch_bytes(std::int64_t count) {
  // The most are of the smallest buckets, one part each; a single bucket may have kMostParts instead.
  const std::int64_t buckets = parts_of(count, kLeastBucket);
  return sizeof(Moments) * static_cast<std::size_t>(1 + 2 * buckets + kMostParts);
}

cudaError_t inspect(const float* x, std::int64_t count, DeviceCall call) {
  Launches launches(call.stream);
  launches.run(striding_blocks(count), kThreads, look, x, count, call.report);
  return launches.result();
}

cudaError_t norms(const float* x, std::int64_t count, std::int64_t bucket, float* norms, DeviceCall call) {
  if (count == 0) return cudaSuccess;
  const std::int64_t stride = bucket > 0 ? bucket : count, buckets = parts_of(count, stride);
  const Sums sums = sums_in(call.scratch, buckets);
  Launches launches(call.stream);
  run_moments(launches, x, count, stride, sums);
  launches.run(striding_blocks(buckets), kThreads, store_norms, sums.of_bucket, buckets, norms, call.report);
  return launches.result();
}

cudaError_t ternary_scale(const float* x, std::int64_t count, double clip, float* scale, DeviceCall call) {
  const Sums sums = sums_in(call.scratch, 1);
  Launches launches(call.stream);
  launches.run(1, 1, clear, sums.own);
  launches.run(striding_blocks(count), kThreads, look, x, count, sums.own);
  if (clip > 0 && count > 0) run_moments(launches, x, count, count, sums);
  launches.run(1, 1, store_ternary_scale, sums.own, sums.of_bucket, count, count > 0 ? clip : 0, scale,
               call.report);
  return launches.result();
}

}  // namespace muster::workloads::device
