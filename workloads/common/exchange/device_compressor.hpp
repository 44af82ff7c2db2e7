#pragma once
/// Compressors' kernels as methods: on a GPU what Compressor is on a CPU, with the same packed forms.

#include <c10/core/Device.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "workloads/common/compression/compressor.hpp"
#include "workloads/common/compression/cuda/device_compression.hpp"
#include "workloads/common/compression/methods.hpp"

namespace muster::workloads {

/// All pointers are to the GPU's memory, packed forms aligned to 16. Nothing waits: call.report tells whether
/// a gradient was finite and how much of it was kept.
class DeviceCompressor {
 public:
  virtual ~DeviceCompressor() = default;

  virtual void begin_step(std::uint32_t step, double ratio) {
    step_ = step;
    ratio_ = ratio;
  }
  /// Bytes that compress() writes at most.
  virtual std::size_t room(const Layer& layer) const = 0;
  /// The rank's own scale to scale[0], and to scale[1] where magnitudes are cut.
  virtual void own_scale(const Layer&, const float*, float*, DeviceCall) {}
  virtual void compress(const Layer& layer, const float* x, const float* scale, std::byte* packed,
                        DeviceCall call) = 0;
  /// out += factor * what the packed form stands for. In the step in which it was made.
  virtual void decompress_add(const Layer& layer, const std::byte* packed, std::size_t bytes,
                              const float* scale, float factor, float* out, DeviceCall call) = 0;
  /// report.largest of gradients that are not finite, or not in the packed form.
  virtual std::uint32_t overflow() const { return 0x7F800000; }

 protected:
  std::uint32_t step_ = 0;
  double ratio_ = 1;
};

/// Null for methods without kernels (none, powersgd). `kernels` outlives it.
std::unique_ptr<DeviceCompressor> make_device_compressor(const DeviceCompression& kernels,
                                                         const CompressionOptions& options,
                                                         const DrawSource& source, c10::Device gpu);

}  // namespace muster::workloads
