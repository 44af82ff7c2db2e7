#include "workloads/common/compression/cast.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {

std::unique_ptr<Compressor> make_fp16(const CompressionOptions&, const DrawSource&) {
  const CompressionKernels& loops = compression_kernels();
  return make_cast({DType::f16, loops.to_half, loops.add_half, kFp16Overflow});
}

}  // namespace muster::workloads
