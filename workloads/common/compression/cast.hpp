#pragma once
/// Compression by rounding to a smaller floating type.

#include <cstdint>
#include <memory>

#include "workloads/common/compression/compressor.hpp"

namespace muster::workloads {

/// Bits of the least magnitude that would become infinite.
inline constexpr std::uint32_t kFp16Overflow = 0x477FF000;  // 65520
inline constexpr std::uint32_t kBf16Overflow = 0x7F7F8000;

struct CastForm {
  DType type;  ///< of 16 bits
  void (*pack)(const float* x, std::int64_t count, std::uint16_t* out);
  void (*add)(const std::uint16_t* x, std::int64_t count, float factor, float* out);
  std::uint32_t overflow;
};

std::unique_ptr<Compressor> make_cast(const CastForm& form);

}  // namespace muster::workloads
