#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "workloads/common/compression/cuda/kernels.hpp"
#include "workloads/common/compression/cuda/report.cuh"
#include "workloads/common/cuda/launch.cuh"

namespace muster::workloads::device {
namespace {

// Both round to nearest, ties to even.
struct Half {
  __device__ static std::uint16_t pack(float x) { return __half_as_ushort(__float2half_rn(x)); }
  __device__ static float unpack(std::uint16_t bits) { return __half2float(__ushort_as_half(bits)); }
};
struct BFloat16 {
  __device__ static std::uint16_t pack(float x) {
    const std::uint32_t bits = __float_as_uint(x);
    return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
  }
  __device__ static float unpack(std::uint16_t bits) { return __uint_as_float(std::uint32_t{bits} << 16); }
};

template <class Form>
__global__ void cast(const float* __restrict__ x, std::int64_t count, std::uint16_t* __restrict__ packed,
                     DeviceReport* report) {
  std::uint32_t largest = 0;
#pragma unroll 4
  for (std::int64_t i = thread_of_grid(); i < count; i += threads_of_grid()) {
    const float value = x[i];
    const std::uint32_t magnitude = __float_as_uint(value) & 0x7FFFFFFF;
    largest = magnitude > largest ? magnitude : largest;
    packed[i] = Form::pack(value);
  }
  raise_largest(largest, report);
}

template <class Form>
__global__ void add(const std::uint16_t* __restrict__ packed, std::int64_t count, float factor,
                    float* __restrict__ out) {
#pragma unroll 4
  for (std::int64_t i = thread_of_grid(); i < count; i += threads_of_grid())
    out[i] += Form::unpack(packed[i]) * factor;
}

template <class Form>
cudaError_t launch_cast(const float* x, std::int64_t count, std::uint16_t* packed, DeviceCall call) {
  Launches launches(call.stream);
  launches.run(striding_blocks(count), kThreads, cast<Form>, x, count, packed, call.report);
  return launches.result();
}

template <class Form>
cudaError_t launch_add(const std::uint16_t* packed, std::int64_t count, float factor, float* out,
                       DeviceCall call) {
  Launches launches(call.stream);
  launches.run(striding_blocks(count), kThreads, add<Form>, packed, count, factor, out);
  return launches.result();
}

}  // namespace

cudaError_t to_half(const float* x, std::int64_t count, std::uint16_t* packed, DeviceCall call) {
  return launch_cast<Half>(x, count, packed, call);
}
cudaError_t to_bf16(const float* x, std::int64_t count, std::uint16_t* packed, DeviceCall call) {
  return launch_cast<BFloat16>(x, count, packed, call);
}
cudaError_t add_half(const std::uint16_t* packed, std::int64_t count, float factor, float* out,
                     DeviceCall call) {
  return launch_add<Half>(packed, count, factor, out, call);
}
cudaError_t add_bf16(const std::uint16_t* packed, std::int64_t count, float factor, float* out,
                     DeviceCall call) {
  return launch_add<BFloat16>(packed, count, factor, out, call);
}

}  // namespace muster::workloads::device
