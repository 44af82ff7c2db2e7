#pragma once
/// The border to batch normalisation's kernels in muster_cuda_kernels.so, which exports one C function for
/// it, `muster_device_norm`, returning a static DeviceNorm.
///
/// They compute what the loops for CPUs do (kernels/kernels.hpp), fused the same way; only sums have an order
/// of their own, the same in every run. Functions put kernels on the caller's stream and return: none waits
/// or allocates.
///
/// Pointers are to memory of the current device. Images are channels-last, parameters double where images
/// are and else float. Functions throw Error(resources) where this device cannot run the kernels,
/// Error(internal) where a launch fails.

#include <cstddef>
#include <cstdint>

#include "workloads/common/layers/after_norm.hpp"

namespace muster::workloads {

/// Raised whenever this header changes in a way that a compiled module would notice.
inline constexpr int kDeviceNormAbi = 1;

enum class NormElement { f32, f64, bf16 };

struct DeviceNormCall {
  void* stream = nullptr;   ///< a cudaStream_t
  void* scratch = nullptr;  ///< scratch_bytes, aligned to 16; free for the next call on the same stream
  NormElement element = NormElement::f32;
  AfterNorm after = AfterNorm::nothing;
  std::int64_t images = 0, height = 0, width = 0, channels = 0;  ///< of x; fewer than 2^32 rows
};

/// The layer's parameters, `channels` values each.
struct DeviceNormLayer {
  const void* weight = nullptr;
  const void* bias = nullptr;
  void* running_mean = nullptr;
  void* running_var = nullptr;
  double epsilon = 0;
  double momentum = 0;  ///< share of the running statistics that this batch replaces
};

/// Where gradients go; of the size of what they belong to.
struct DeviceNormGradients {
  void* x = nullptr;
  void* skip = nullptr;  ///< null without one
  void* weight = nullptr;
  void* bias = nullptr;
};

struct DeviceNorm {
  int abi = kDeviceNormAbi;  // First for ever.
  std::size_t (*scratch_bytes)(DeviceNormCall call) = nullptr;

  /// The batch's `moments`, double [2, channels]: mean, and one over the standard deviation. The `map`
  /// [2, channels], scale and shift by which x becomes normalised, weighted and biased. Moves the running
  /// statistics.
  void (*statistics)(const void* x, DeviceNormLayer layer, double* moments, void* map,
                     DeviceNormCall call) = nullptr;
  /// y of x * scale + shift + skip; `skip` may be null. With relu_pool y has half of the height and width.
  void (*apply)(const void* x, const void* skip, const void* map, void* y, DeviceNormCall call) = nullptr;
  /// Through `apply` and `statistics`. `y` where there was a skip, else null.
  void (*backward)(const void* x, const void* y, const void* dy, const void* weight, const double* moments,
                   const void* map, DeviceNormGradients gradients, DeviceNormCall call) = nullptr;
};

}  // namespace muster::workloads
