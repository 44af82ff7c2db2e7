#include "workloads/common/data/whitening.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

constexpr auto kSize = static_cast<std::size_t>(kPatchSize);

/// Sums over patches of bytes and of products of bytes.
struct PatchSums {
  std::array<std::uint64_t, kSize> bytes{};
  std::array<std::uint64_t, kSize * kSize> products{};
};

void add_image(const std::uint8_t* image, PatchSums& sums) {
  // An image's sums fit 32 bits: 31 * 31 * 255 * 255 < 2^26.
  std::array<std::uint32_t, kSize> bytes{};
  std::array<std::uint32_t, kSize * kSize> products{};
  for (std::int64_t y = 0; y + kPatchSide <= kImageSide; ++y) {
    for (std::int64_t x = 0; x + kPatchSide <= kImageSide; ++x) {
      std::array<std::uint32_t, kSize> patch{};
      std::size_t at = 0;
      for (std::int64_t c = 0; c < kImageChannels; ++c) {
        for (std::int64_t row = y; row < y + kPatchSide; ++row) {
          for (std::int64_t column = x; column < x + kPatchSide; ++column)
            patch[at++] = image[(row * kImageSide + column) * kImageChannels + c];
        }
      }
      for (std::size_t i = 0; i < kSize; ++i) {
        bytes[i] += patch[i];
        for (std::size_t j = 0; j < kSize; ++j) products[kSize * i + j] += patch[i] * patch[j];
      }
    }
  }
  for (std::size_t i = 0; i < kSize; ++i) sums.bytes[i] += bytes[i];
  for (std::size_t i = 0; i < kSize * kSize; ++i) sums.products[i] += products[i];
}

}  // namespace

torch::Tensor patch_moments(const ImageSet& set, std::int64_t images, const ChannelStatistics& statistics) {
  images = std::min(images, set.size());
  MUSTER_ASSERT(images > 0 && set.images.is_contiguous());
  PatchSums sums;
  const auto* image = set.images.const_data_ptr<std::uint8_t>();
  for (std::int64_t i = 0; i < images; ++i) add_image(image + i * kImageBytes, sums);

  // A byte b of a channel becomes b * slope + offset.
  const std::int64_t side = kImageSide - kPatchSide + 1;
  const auto patches = static_cast<double>(images * side * side);
  std::array<double, kSize> slope{}, offset{}, mean{};
  for (std::size_t i = 0; i < kSize; ++i) {
    const std::size_t channel = i / (kPatchSide * kPatchSide);
    slope[i] = 1 / (255 * statistics.deviation[channel]);
    offset[i] = -statistics.mean[channel] / statistics.deviation[channel];
    mean[i] = static_cast<double>(sums.bytes[i]) / patches;
  }
  const torch::Tensor moments = torch::empty({kPatchSize, kPatchSize}, torch::kFloat64);
  auto* out = moments.data_ptr<double>();
  for (std::size_t i = 0; i < kSize; ++i) {
    for (std::size_t j = 0; j < kSize; ++j) {
      const double product = static_cast<double>(sums.products[kSize * i + j]) / patches;
      *out++ = slope[i] * slope[j] * product + slope[i] * mean[i] * offset[j] +
               offset[i] * slope[j] * mean[j] + offset[i] * offset[j];
    }
  }
  return moments;
}

torch::Tensor whitening_filters(const torch::Tensor& moments, double epsilon) {
  const auto [values, vectors] = torch::linalg_eigh(moments, "U");
  const torch::Tensor filters = (vectors / (values + epsilon).sqrt()).t().flip(0);
  return torch::cat({filters, -filters}).view({2 * kPatchSize, kImageChannels, kPatchSide, kPatchSide});
}

}  // namespace muster::workloads
