#pragma once
/// What the compressors that round at random share.

#include <cstddef>
#include <cstdint>

#include "workloads/common/compression/compressor.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {

/// Draws of this rank for a layer and step, and codes of so many levels.
Quantisation quantisation_of(const DrawSource& source, const Layer& layer, std::uint32_t step,
                             std::uint32_t levels);
/// A sign, and the levels' bits.
int code_bits(std::uint32_t levels);
inline std::size_t code_bytes(std::int64_t elements, int bits) {
  return (static_cast<std::size_t>(elements) * static_cast<std::size_t>(bits) + 7) / 8;
}
/// Of qsgd: one for each `bucket` elements; 0: for all.
inline std::size_t qsgd_norms(std::int64_t elements, std::int64_t bucket) {
  if (elements == 0) return 0;
  return bucket == 0 ? 1 : static_cast<std::size_t>((elements + bucket - 1) / bucket);
}

}  // namespace muster::workloads
