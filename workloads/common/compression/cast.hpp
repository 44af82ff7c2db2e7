#pragma once
/// Compression by rounding to a smaller floating type.

#include <cstdint>
#include <memory>

#include "workloads/common/compression/compressor.hpp"

namespace muster::workloads {

struct CastForm {
  DType type;  ///< of 16 bits
  void (*pack)(const float* x, std::int64_t count, std::uint16_t* out);
  void (*add)(const std::uint16_t* x, std::int64_t count, float factor, float* out);
  std::uint32_t overflow;  ///< bits of the least magnitude that would become infinite
};

std::unique_ptr<Compressor> make_cast(const CastForm& form);

}  // namespace muster::workloads
