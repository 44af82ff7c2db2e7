#include "workloads/common/data/image_set.hpp"

#include <cmath>

#include "core/error.hpp"

namespace muster::workloads {

ChannelStatistics channel_statistics(const ImageSet& set) {
  MUSTER_ASSERT(set.size() > 0 && set.images.is_contiguous());
  std::array<std::uint64_t, 3> sum{};
  std::array<std::uint64_t, 3> squares{};
  const auto* pixel = set.images.const_data_ptr<std::uint8_t>();
  const auto pixels = static_cast<std::uint64_t>(set.images.numel() / kImageChannels);
  for (std::uint64_t i = 0; i < pixels; ++i, pixel += kImageChannels) {
    for (std::size_t c = 0; c < 3; ++c) {
      sum[c] += pixel[c];
      squares[c] += std::uint64_t{pixel[c]} * pixel[c];
    }
  }
  ChannelStatistics statistics;
  for (std::size_t c = 0; c < 3; ++c) {
    const double mean = static_cast<double>(sum[c]) / static_cast<double>(pixels);
    const double variance = static_cast<double>(squares[c]) / static_cast<double>(pixels) - mean * mean;
    statistics.mean[c] = mean / 255;
    // A channel of one colour has no spread: dividing by it would make NaN of every image.
    statistics.deviation[c] = variance > 0 ? std::sqrt(variance) / 255 : 1;
  }
  return statistics;
}

}  // namespace muster::workloads
