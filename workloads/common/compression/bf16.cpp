#include "workloads/common/compression/cast.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {

std::unique_ptr<Compressor> make_bf16(const CompressionOptions&, const DrawSource&) {
  const CompressionKernels& loops = compression_kernels();
  return make_cast({DType::bf16, loops.to_bf16, loops.add_bf16, kBf16Overflow});
}

}  // namespace muster::workloads
