#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "core/error.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/compression/selection.hpp"
#include "workloads/common/counter_random.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

constexpr double kDeviations = 5;

/// 32 bits drawn for each element; those with the k largest form a sample without replacement.
class DrawnKeys : public Keys {
 public:
  DrawnKeys(const DrawKey& key, std::int64_t count) : key_(key), count_(count) {}

  std::int64_t size() const override { return count_; }
  std::uint32_t key_of(std::uint32_t word) const override { return word; }
  std::int64_t collect(std::uint32_t floor, std::int64_t capacity, std::uint32_t* index,
                       std::uint32_t* word) override {
    return compression_kernels().collect_drawn(key_, count_, floor, capacity, index, word);
  }
  std::int64_t window(std::uint32_t low, std::uint32_t high, std::int64_t capacity, std::uint32_t* word,
                      std::int64_t* above) override {
    return compression_kernels().window_drawn(key_, count_, low, high, capacity, word, above);
  }
  std::int64_t count(std::uint32_t floor) override {
    return compression_kernels().count_drawn(key_, count_, floor);
  }
  Bracket guess(std::int64_t k) override {
    const auto n = static_cast<double>(count_);
    const double share = static_cast<double>(k) / n;
    const double spread = kDeviations * std::sqrt(share * (1 - share) / n) + 2 / n;
    const auto key_at = [](double above) {
      return static_cast<std::uint32_t>(std::clamp((1 - above) * 0x1p32, 0.0, 4294967295.0));
    };
    return {key_at(share + spread), key_at(share - spread)};
  }

 private:
  DrawKey key_;
  std::int64_t count_;
};

class RandomK : public Compressor {
 public:
  RandomK(const CompressionOptions& options, std::uint64_t seed)
      : ratio_(options.ratio), unbiased_(options.unbiased), seed_(seed) {
    if (!(options.ratio > 0 && options.ratio <= 1)) {
      throw Error(ExitCode::config, "randomk keeps a share of the elements above 0 and at most 1",
                  "choose a ratio such as 0.01");
    }
  }

  Joining joining() const override { return Joining::summed; }
  std::optional<std::size_t> packed_bytes(const Layer& layer) const override {
    return static_cast<std::size_t>(kept_elements(layer.elements, ratio_)) * sizeof(float);
  }
  std::optional<std::int64_t> kept(const Layer& layer) const override {
    return kept_elements(layer.elements, ratio_);
  }
  void begin_step(std::uint32_t step, double ratio) override {
    if (step != step_ || ratio != ratio_) chosen_.clear();
    step_ = step;
    ratio_ = ratio;
  }

  std::int64_t compress(const Layer& layer, const float* gradient, float, PackedBuffer& out) override {
    require_finite(layer, gradient, step_);
    const std::vector<std::uint32_t>& index = chosen(layer);
    const float factor = randomk_factor(unbiased_, layer.elements, static_cast<std::int64_t>(index.size()));
    std::byte* to = out.extend(index.size() * sizeof(float));
    for (std::size_t i = 0; i < index.size(); ++i) {
      const float value = gradient[index[i]] * factor;
      std::memcpy(to + i * sizeof value, &value, sizeof value);
    }
    return static_cast<std::int64_t>(index.size());
  }
  void decompress_add(const Layer& layer, std::span<const std::byte> packed, float, float factor,
                      float* out) override {
    const std::vector<std::uint32_t>& index = chosen(layer);
    MUSTER_ASSERT(packed.size() == index.size() * sizeof(float));
    for (std::size_t i = 0; i < index.size(); ++i) {
      float value = 0;
      std::memcpy(&value, packed.data() + i * sizeof value, sizeof value);
      out[index[i]] += value * factor;
    }
  }

 private:
  const std::vector<std::uint32_t>& chosen(const Layer& layer) {
    const auto [place, fresh] = chosen_.try_emplace(layer.index);
    const std::int64_t k = kept_elements(layer.elements, ratio_);
    if (fresh && k > 0) {
      DrawnKeys keys({seed_, layer.index, step_, static_cast<std::uint32_t>(RandomStream::selection)},
                     layer.elements);
      selection_.select(keys, k);
      place->second.assign(selection_.index().begin(), selection_.index().end());
    }
    return place->second;
  }

  double ratio_;
  bool unbiased_;
  std::uint64_t seed_;
  std::uint32_t step_ = 0;
  Selection selection_;
  std::map<std::uint32_t, std::vector<std::uint32_t>> chosen_;  ///< indices of this step, by layer
};

}  // namespace

std::unique_ptr<Compressor> make_randomk(const CompressionOptions& options, const DrawSource& source) {
  return std::make_unique<RandomK>(options, source.seed);
}

}  // namespace muster::workloads
