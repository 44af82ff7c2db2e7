#include "workloads/common/compression/cast.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {

std::unique_ptr<Compressor> make_fp16(const CompressionOptions&, const DrawSource&) {
  constexpr std::uint32_t k65520 = 0x477FF000;
  const CompressionKernels& loops = compression_kernels();
  return make_cast({DType::f16, loops.to_half, loops.add_half, k65520});
}

}  // namespace muster::workloads
