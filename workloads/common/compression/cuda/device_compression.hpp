#pragma once
/// The border to compressors' kernels in muster_cuda_kernels.so, which exports one C function for them,
/// `muster_device_compression`, returning a static DeviceCompression.
///
/// Packed forms have the bits that the compressors of the same names make on the CPU, given the same draws
/// and the same scale; the sums behind a norm or a deviation have an order of their own, which is always the
/// same. Functions put kernels on the caller's stream and return: none waits, allocates or copies to the
/// host. What a host must know, how many elements `threshold` kept and whether all are finite, lies in the
/// DeviceReport, which the caller copies when it wants to wait.
///
/// Pointers are to memory of the current device. Counts are below 2^32. Functions throw Error(resources)
/// where this device cannot run the kernels, Error(internal) where a launch fails.

#include <cstddef>
#include <cstdint>

#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {

/// Raised whenever this header or one that it includes changes in a way that a compiled module would notice.
inline constexpr int kDeviceCompressionAbi = 1;

/// In device memory, cleared by the caller.
struct DeviceReport {
  /// Raised to the bits of the largest magnitude or norm that was seen, never lowered: one report may watch
  /// many layers. 0x7F800000 or more: one is infinite or NaN, and what was packed is worthless.
  std::uint32_t largest;
  std::uint32_t kept;  ///< elements, set by `threshold` and `largest_k`
};

struct DeviceCall {
  void* stream = nullptr;   ///< a cudaStream_t
  void* scratch = nullptr;  ///< scratch_bytes, aligned to 16; free for the next call on the same stream
  DeviceReport* report = nullptr;
};

struct DeviceCompression {
  int abi = kDeviceCompressionAbi;  // First for ever.
  /// Of a call about so many elements.
  std::size_t (*scratch_bytes)(std::int64_t count) = nullptr;

  /// Raises report->largest by all of x: for randomk, whose other functions look at a part. `threshold`,
  /// `largest_k`, `ternary_scale`, `norms` and the casts do so themselves.
  void (*inspect)(const float* x, std::int64_t count, DeviceCall call) = nullptr;

  /// thresholdv: indices, then values, of the elements whose magnitude's bits are at least `floor`. `packed`
  /// has room for 2 * count words; report->kept tells how many of each were written.
  void (*threshold)(const float* x, std::int64_t count, std::uint32_t floor, std::uint32_t* packed,
                    DeviceCall call) = nullptr;
  /// topk: the same of the 0 < kept <= count largest magnitudes; of equal ones those of the lowest index.
  void (*largest_k)(const float* x, std::int64_t count, std::int64_t kept, std::uint32_t* packed,
                    DeviceCall call) = nullptr;
  /// randomk: the indices drawn for `key`, in order. `drawn` has room for `count` words.
  void (*choose)(DrawKey key, std::int64_t count, std::int64_t kept, std::uint32_t* drawn,
                 std::uint32_t* index, DeviceCall call) = nullptr;
  /// packed[i] = x[index[i]] * factor
  void (*gather)(const float* x, const std::uint32_t* index, std::int64_t kept, float factor, float* packed,
                 DeviceCall call) = nullptr;
  /// out[index[i]] += factor * values[i], no index twice.
  void (*scatter_add)(const std::uint32_t* index, const float* values, std::int64_t kept, float factor,
                      float* out, DeviceCall call) = nullptr;

  /// terngrad: a rank's own scale in scale[0]; in scale[1] the magnitude to which `quantise` is to cut,
  /// `clip` standard deviations, or infinity where clip is 0.
  void (*ternary_scale)(const float* x, std::int64_t count, double clip, float* scale,
                        DeviceCall call) = nullptr;
  /// qsgd: |x| of each `bucket` elements, a multiple of 512; 0: of all.
  void (*norms)(const float* x, std::int64_t count, std::int64_t bucket, float* norms,
                DeviceCall call) = nullptr;
  /// CompressionKernels::quantise; how.scales is in device memory, and so is `limit`, which replaces
  /// how.limit. `packed` is aligned to 4.
  void (*quantise)(const float* x, std::int64_t count, Quantisation how, const float* limit,
                   std::uint8_t* packed, DeviceCall call) = nullptr;
  /// out += what codes stand for where scales are how.scales * factor.
  void (*dequantise_add)(const std::uint8_t* packed, std::int64_t count, Quantisation how, float factor,
                         float* out, DeviceCall call) = nullptr;

  /// fp16, bf16: rounded to nearest, ties to even. Whoever reads the report knows from which magnitude on it
  /// became infinite.
  void (*to_half)(const float* x, std::int64_t count, std::uint16_t* packed, DeviceCall call) = nullptr;
  void (*to_bf16)(const float* x, std::int64_t count, std::uint16_t* packed, DeviceCall call) = nullptr;
  /// out += factor * packed
  void (*add_half)(const std::uint16_t* packed, std::int64_t count, float factor, float* out,
                   DeviceCall call) = nullptr;
  void (*add_bf16)(const std::uint16_t* packed, std::int64_t count, float factor, float* out,
                   DeviceCall call) = nullptr;
};

}  // namespace muster::workloads
