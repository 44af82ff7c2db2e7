#pragma once
/// The border to kernels of layers, and of the batches that they take, in muster_cuda_kernels.so, which
/// exports one C function for them, `muster_device_layers`, returning a static DeviceLayers.
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
inline constexpr int kDeviceLayersAbi = 1;

enum class LayerElement { f32, f64, bf16 };

struct DeviceLayerCall {
  void* stream = nullptr;  ///< a cudaStream_t
  LayerElement element = LayerElement::f32;
  std::int64_t images = 0, height = 0, width = 0, channels = 0;  ///< of x; fewer than 2^32 rows
};

/// A batch normalisation's parameters, `channels` values each.
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

/// Where the pixels of one image of a batch come from.
struct DeviceDraw {
  std::int32_t sample = 0;                     ///< of the stored images
  std::int32_t crop_row = 0, crop_column = 0;  ///< the result begins so much further in
  std::int32_t flip = 0;                       ///< not 0: left to right
  std::int32_t cutout_row = 0, cutout_column = 0;
};

struct DeviceBatch {
  std::int32_t cutout = 0;  ///< side of a square of zeros
  bool reflect = false;     ///< outside of an image it goes on mirrored, else there are zeros
};

struct DeviceLayers {
  int abi = kDeviceLayersAbi;  // First for ever.

  // ---- batch normalisation and what follows it

  /// For norm_statistics and norm_backward: aligned to 16, free for the next call on the same stream.
  std::size_t (*norm_scratch_bytes)(DeviceLayerCall call) = nullptr;
  /// The batch's `moments`, double [2, channels]: mean, and one over the standard deviation. The `map`
  /// [2, channels], scale and shift by which x becomes normalised, weighted and biased. Moves the running
  /// statistics.
  void (*norm_statistics)(const void* x, DeviceNormLayer layer, double* moments, void* map, void* scratch,
                          DeviceLayerCall call) = nullptr;
  /// y of x * scale + shift + skip; `skip` may be null. With relu_pool y has half of the height and width.
  void (*norm_apply)(const void* x, const void* skip, const void* map, AfterNorm after, void* y,
                     DeviceLayerCall call) = nullptr;
  /// Through norm_apply and norm_statistics. `y` where there was a skip, else null.
  void (*norm_backward)(const void* x, const void* y, const void* dy, const void* weight,
                        const double* moments, const void* map, AfterNorm after,
                        DeviceNormGradients gradients, void* scratch, DeviceLayerCall call) = nullptr;

  // ---- the maximum of each 2x2 block: what is left of an odd height or width goes nowhere

  /// `which` tells the first largest of each block: 0 to 3, by rows; a NaN counts as larger.
  void (*max_pool)(const void* x, void* y, std::uint8_t* which, DeviceLayerCall call) = nullptr;
  /// All of dx is written.
  void (*max_pool_backward)(const void* dy, const std::uint8_t* which, void* dx,
                            DeviceLayerCall call) = nullptr;

  // ---- what a network takes

  /// batch [images, height, width, 3] of stored bytes [any number, height, width, 3]: byte b of channel c
  /// becomes values[b][c].
  void (*make_batch)(const std::uint8_t* stored, const void* values, const DeviceDraw* draws, DeviceBatch how,
                     void* batch, DeviceLayerCall call) = nullptr;
};

}  // namespace muster::workloads
