#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "core/error.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/compression/quantiser.hpp"

namespace muster::workloads {
namespace {

class TernGrad : public Compressor {
 public:
  TernGrad(double clip, const DrawSource& source) : clip_(clip), source_(source) {
    if (!(clip >= 0)) {
      throw Error(ExitCode::config, "terngrad clips at a number of standard deviations that is not negative",
                  "choose 2.5, the paper's, or 0 for none");
    }
  }

  Joining joining() const override { return Joining::gathered; }
  std::optional<std::size_t> packed_bytes(const Layer& layer) const override {
    return code_bytes(layer.elements, code_bits(1));
  }
  void begin_step(std::uint32_t step, double) override { step_ = step; }

  bool agrees_on_scale() const override { return true; }
  float own_scale(const Layer& layer, const float* gradient) override {
    const std::uint32_t bits = compression_kernels().largest_magnitude(gradient, layer.elements);
    if (bits >= 0x7F800000) throw_not_finite(layer, step_);
    const auto largest = std::bit_cast<float>(bits);
    if (clip_ == 0 || layer.elements == 0) return largest;
    double sum = 0, squares = 0;
    compression_kernels().moments(gradient, layer.elements, &sum, &squares);
    const auto count = static_cast<double>(layer.elements);
    const double mean = sum / count;
    const double deviation = std::sqrt(std::max(0.0, squares / count - mean * mean));
    const float limit = static_cast<float>(clip_ * deviation);
    limits_[layer.index] = limit;
    return std::min(largest, limit);
  }

  std::int64_t compress(const Layer& layer, const float* gradient, float scale, PackedBuffer& out) override {
    Quantisation how = quantisation_of(source_, layer, step_, 1);
    how.scales = &scale;
    if (clip_ > 0 && layer.elements > 0) how.limit = limits_.at(layer.index);
    std::byte* to = out.extend(code_bytes(layer.elements, how.bits));
    compression_kernels().quantise(gradient, layer.elements, how, reinterpret_cast<std::uint8_t*>(to));
    return layer.elements;
  }
  void decompress_add(const Layer& layer, std::span<const std::byte> packed, float scale, float factor,
                      float* out) override {
    scale *= factor;
    Quantisation how = quantisation_of(source_, layer, step_, 1);
    how.scales = &scale;
    compression_kernels().dequantise_add(reinterpret_cast<const std::uint8_t*>(packed.data()), layer.elements,
                                         how, out);
  }

 private:
  double clip_;
  DrawSource source_;
  std::uint32_t step_ = 0;
  std::map<std::uint32_t, float> limits_;  ///< magnitudes of this step's layers are cut there
};

}  // namespace

std::unique_ptr<Compressor> make_terngrad(const CompressionOptions& options, const DrawSource& source) {
  return std::make_unique<TernGrad>(options.clip, source);
}

}  // namespace muster::workloads
