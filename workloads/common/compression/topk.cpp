#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <vector>

#include "core/error.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/compression/selection.hpp"
#include "workloads/common/compression/sparse.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

constexpr std::int64_t kSmall = 8192;  ///< so few are compared with one another at once
constexpr std::int64_t kSampleShare = 128;
constexpr double kDeviations = 4.5;

/// Magnitudes of floats, whose bits are ordered as they are.
class Magnitudes : public Keys {
 public:
  Magnitudes(const float* x, std::int64_t count, std::vector<std::uint32_t>& sample)
      : x_(x), count_(count), sample_(sample) {}

  std::int64_t size() const override { return count_; }
  std::uint32_t key_of(std::uint32_t word) const override { return word & 0x7FFFFFFF; }
  std::int64_t collect(std::uint32_t floor, std::int64_t capacity, std::uint32_t* index,
                       std::uint32_t* word) override {
    std::uint32_t largest = 0;
    const std::int64_t found =
        compression_kernels().collect(x_, count_, floor, capacity, index, word, &largest);
    largest_ = std::max(largest_, largest);
    return found;
  }
  std::int64_t window(std::uint32_t low, std::uint32_t high, std::int64_t capacity, std::uint32_t* word,
                      std::int64_t* above) override {
    return compression_kernels().window(x_, count_, low, high, capacity, word, above);
  }
  std::int64_t count(std::uint32_t floor) override { return compression_kernels().count(x_, count_, floor); }

  /// From a sample that is the same in every run: one element of each stretch.
  Bracket guess(std::int64_t k) override {
    if (count_ <= kSmall) return {0, 0xFFFFFFFF};
    const std::int64_t taken = std::max(kSmall / 2, count_ / kSampleShare);
    sample_.clear();
    for (std::int64_t i = 0; i < taken; ++i) {
      // Strides of a layer's shape must not show.
      const auto begin = i * count_ / taken, end = (i + 1) * count_ / taken;
      const auto jump =
          static_cast<std::int64_t>((static_cast<std::uint64_t>(i) * 0x9E3779B97F4A7C15U) >> 33);
      sample_.push_back(key_of(std::bit_cast<std::uint32_t>(x_[begin + jump % (end - begin)])));
    }
    const double share = static_cast<double>(k) / static_cast<double>(count_);
    const double expected = share * static_cast<double>(taken);
    const double spread = kDeviations * std::sqrt(expected * (1 - share)) + 2;
    const auto last = static_cast<double>(taken - 1);
    const auto low_place = static_cast<std::int64_t>(std::min(expected + spread, last));
    const auto high_place = static_cast<std::int64_t>(std::max(expected - spread, 0.0));
    const auto at = [this](std::int64_t place) { return sample_.begin() + place; };
    std::nth_element(at(0), at(low_place), sample_.end(), std::greater<>());
    const std::uint32_t low = expected + spread > last ? 0 : sample_[static_cast<std::size_t>(low_place)];
    std::nth_element(at(0), at(high_place), at(low_place), std::greater<>());
    const std::uint32_t high = expected < spread ? 0xFFFFFFFF : sample_[static_cast<std::size_t>(high_place)];
    return {low, high};
  }

  bool finite() const { return largest_ < 0x7F800000; }

 private:
  const float* x_;
  std::int64_t count_;
  std::vector<std::uint32_t>& sample_;
  std::uint32_t largest_ = 0;
};

class TopK : public Compressor {
 public:
  explicit TopK(double ratio) : ratio_(ratio) {
    if (!(ratio > 0 && ratio <= 1)) {
      throw Error(ExitCode::config, "topk keeps a share of the elements above 0 and at most 1",
                  "choose a ratio such as 0.01");
    }
  }

  Joining joining() const override { return Joining::gathered; }
  std::optional<std::size_t> packed_bytes(const Layer& layer) const override {
    return sparse_bytes(kept_elements(layer.elements, ratio_));
  }
  std::optional<std::int64_t> kept(const Layer& layer) const override {
    return kept_elements(layer.elements, ratio_);
  }
  void begin_step(std::uint32_t step, double ratio) override {
    step_ = step;
    ratio_ = ratio;
  }

  std::int64_t compress(const Layer& layer, const float* gradient, float, PackedBuffer& out) override {
    const std::int64_t k = kept_elements(layer.elements, ratio_);
    if (k == 0) return 0;
    Magnitudes magnitudes(gradient, layer.elements, sample_);
    selection_.select(magnitudes, k);
    if (!magnitudes.finite()) throw_not_finite(layer, step_);
    append_sparse(selection_.index(), selection_.words(), out);
    return k;
  }
  void decompress_add(const Layer&, std::span<const std::byte> packed, float, float factor,
                      float* out) override {
    add_sparse(packed, factor, out);
  }

 private:
  double ratio_;
  std::uint32_t step_ = 0;
  Selection selection_;
  std::vector<std::uint32_t> sample_;
};

}  // namespace

std::unique_ptr<Compressor> make_topk(const CompressionOptions& options, const DrawSource&) {
  return std::make_unique<TopK>(options.ratio);
}

}  // namespace muster::workloads
