#pragma once
/// GradientPacker of gradients in a GPU's memory: they are compressed there, and only packed forms are
/// copied.

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <memory>

#include "workloads/common/compression/cuda/device_compression.hpp"
#include "workloads/common/compression/gradient_packer.hpp"
#include "workloads/common/compression/methods.hpp"

namespace muster::workloads {

/// A tensor over memory of `device`, which outlives it.
at::Tensor view_of(float* values, std::int64_t count, c10::Device device);

/// Whether there are kernels for what the options ask for.
bool packs_on_device(const JoinOptions& options);

/// All that it does goes on `gpu`'s current stream at the call; the host waits where it must know, once for
/// the scales and once for the packed forms of a bucket. Seconds are the stream's, in measured steps alone.
/// `kernels` outlives it. packs_on_device(options) holds.
std::unique_ptr<GradientPacker> make_device_packer(const DeviceCompression& kernels, c10::Device gpu,
                                                   const DrawSource& source, Compressor& forms,
                                                   const std::vector<Layer>& layers,
                                                   const JoinOptions& options);

}  // namespace muster::workloads
