#pragma once
/// Channels of slim and wide variants.

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace muster::workloads {

/// `channels` times `width`, rounded to a multiple of 8 (vector registers hold so many), at least 8.
inline std::int64_t scaled_width(std::int64_t channels, double width) {
  return std::max<std::int64_t>(8, 8 * std::llround(static_cast<double>(channels) * width / 8));
}

}  // namespace muster::workloads
