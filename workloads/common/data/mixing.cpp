#include "workloads/common/data/mixing.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"
#include "workloads/common/parameter_specs.hpp"

namespace muster::workloads {
namespace {

constexpr int kSide = static_cast<int>(kImageSide);

double uniform(std::uint32_t bits) { return (bits + 0.5) * 0x1p-32; }

/// Beta(alpha, alpha) by Jöhnk's method (1964), which is quick for alpha up to 1. In logarithms: powers of
/// 1/alpha would underflow.
double symmetric_beta(const CounterRandom& random, std::uint32_t epoch, std::uint32_t sample, double alpha) {
  for (std::uint32_t block = 1;; ++block) {
    const auto bits = random.draw(epoch, sample, block);
    for (const std::size_t i : {0, 2}) {
      const double x = std::log(uniform(bits[i])) / alpha;
      const double y = std::log(uniform(bits[i + 1])) / alpha;
      if (std::exp(x) + std::exp(y) <= 1) return 1 / (1 + std::exp(y - x));
    }
  }
}

}  // namespace

std::vector<ParameterSpec> mixing_parameter_specs(const MixingOptions& defaults) {
  return {number("mix.mixup", defaults.mixup, "1",
                 "alpha of mixup; 0: none. With mix.cutmix each image draws which of the two", 0, 1),
          number("mix.cutmix", defaults.cutmix, "1", "alpha of CutMix; 0: none", 0, 1)};
}

MixingOptions read_mixing(const Parameters& values) {
  return {.mixup = values.at("mix.mixup").as_float(), .cutmix = values.at("mix.cutmix").as_float()};
}

Mixture draw_mixture(const MixingOptions& options, std::uint64_t seed, std::int64_t epoch,
                     std::int64_t sample, std::int64_t samples) {
  MUSTER_ASSERT(options.on());
  const CounterRandom random(seed, RandomStream::mixing);
  const auto a = static_cast<std::uint32_t>(epoch);
  const auto b = static_cast<std::uint32_t>(sample);
  const auto bits = random.draw(a, b);
  Mixture mixture;
  mixture.partner = below(bits[0], static_cast<std::uint32_t>(samples));
  mixture.cut = options.mixup == 0 || (options.cutmix > 0 && bits[1] >> 31 != 0);
  mixture.share = symmetric_beta(random, a, b, mixture.cut ? options.cutmix : options.mixup);
  if (!mixture.cut) return mixture;
  // The centre is anywhere, and what lies outside is cut off: the share is of what is left of the box.
  const int half = static_cast<int>(kSide * std::sqrt(1 - mixture.share)) / 2;
  const int row = static_cast<int>(below(bits[2], kSide));
  const int column = static_cast<int>(below(bits[3], kSide));
  mixture.top = std::max(row - half, 0);
  mixture.bottom = std::min(row + half, kSide);
  mixture.left = std::max(column - half, 0);
  mixture.right = std::min(column + half, kSide);
  const int area = (mixture.bottom - mixture.top) * (mixture.right - mixture.left);
  mixture.share = 1 - static_cast<double>(area) / (kSide * kSide);
  return mixture;
}

MixedBatch mixed_batch(const BatchMaker& batches, const ImageSet& set, std::span<const std::int64_t> samples,
                       std::int64_t epoch, std::int64_t classes, const MixingOptions& options,
                       std::uint64_t seed) {
  const auto count = static_cast<std::int64_t>(samples.size());
  const auto* labels = set.labels.const_data_ptr<std::int64_t>();
  // How much of each pixel is the image's own.
  const auto own = torch::empty({count, 1, kSide, kSide}, torch::kFloat64);
  const auto targets = torch::zeros({count, classes}, torch::kFloat64);
  std::vector<std::int64_t> partners;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t sample = samples[static_cast<std::size_t>(i)];
    const Mixture mixture = draw_mixture(options, seed, epoch, sample, set.size());
    partners.push_back(mixture.partner);
    double* pixels = own.data_ptr<double>() + i * kSide * kSide;
    std::fill_n(pixels, kSide * kSide, mixture.cut ? 1 : mixture.share);
    for (int y = mixture.top; y < mixture.bottom; ++y)
      std::fill(pixels + y * kSide + mixture.left, pixels + y * kSide + mixture.right, 0);
    double* target = targets.data_ptr<double>() + i * classes;
    target[labels[sample]] += mixture.share;
    target[labels[mixture.partner]] += 1 - mixture.share;
  }
  const auto images = batches.training_batch(set, samples, epoch);
  const auto others = batches.training_batch(set, partners, epoch);
  return {others.lerp(images, own.to(images.device(), images.scalar_type()))
              .contiguous(torch::MemoryFormat::ChannelsLast),
          targets};
}

}  // namespace muster::workloads
