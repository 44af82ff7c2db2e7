#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/compression/quantiser.hpp"

namespace muster::workloads {
namespace {

class Qsgd : public Compressor {
 public:
  Qsgd(const CompressionOptions& options, const DrawSource& source)
      : source_(source), bucket_(options.bucket) {
    if (options.levels < 1 || options.levels > 32767 || options.bucket < 0 || options.bucket % 512 != 0) {
      throw Error(ExitCode::config,
                  "qsgd takes 1 to 32767 levels, and buckets of a multiple of 512 elements or none",
                  "choose levels = 255 and bucket = 0 or 512");
    }
    levels_ = static_cast<std::uint32_t>(options.levels);
  }

  Joining joining() const override { return Joining::gathered; }
  std::optional<std::size_t> packed_bytes(const Layer& layer) const override {
    return norms_of(layer) * sizeof(float) + code_bytes(layer.elements, code_bits(levels_));
  }
  void begin_step(std::uint32_t step, double) override { step_ = step; }

  std::int64_t compress(const Layer& layer, const float* gradient, float, PackedBuffer& out) override {
    const std::int64_t stride = bucket_ > 0 ? bucket_ : layer.elements;
    norms_.clear();
    for (std::int64_t first = 0; first < layer.elements; first += stride) {
      double sum = 0, squares = 0;
      compression_kernels().moments(gradient + first, std::min(stride, layer.elements - first), &sum,
                                    &squares);
      norms_.push_back(static_cast<float>(std::sqrt(squares)));
      if (!std::isfinite(norms_.back())) throw_not_finite(layer, step_);
    }
    const std::size_t scale_bytes = norms_.size() * sizeof(float);
    const Quantisation how = quantisation(layer);
    std::byte* to = out.extend(scale_bytes + code_bytes(layer.elements, how.bits));
    if (norms_.empty()) return 0;
    std::memcpy(to, norms_.data(), scale_bytes);
    compression_kernels().quantise(gradient, layer.elements, how,
                                   reinterpret_cast<std::uint8_t*>(to + scale_bytes));
    return layer.elements;
  }
  void decompress_add(const Layer& layer, std::span<const std::byte> packed, float, float factor,
                      float* out) override {
    norms_.resize(norms_of(layer));
    if (norms_.empty()) return;
    std::memcpy(norms_.data(), packed.data(), norms_.size() * sizeof(float));
    for (float& norm : norms_) norm *= factor;
    const std::byte* codes = packed.data() + norms_.size() * sizeof(float);
    compression_kernels().dequantise_add(reinterpret_cast<const std::uint8_t*>(codes), layer.elements,
                                         quantisation(layer), out);
  }

 private:
  std::size_t norms_of(const Layer& layer) const { return qsgd_norms(layer.elements, bucket_); }
  Quantisation quantisation(const Layer& layer) const {
    Quantisation how = quantisation_of(source_, layer, step_, levels_);
    how.bucket = bucket_;
    how.scales = norms_.data();
    return how;
  }

  DrawSource source_;
  std::int64_t bucket_;
  std::uint32_t levels_ = 255;
  std::uint32_t step_ = 0;
  std::vector<float> norms_;
};

}  // namespace

std::unique_ptr<Compressor> make_qsgd(const CompressionOptions& options, const DrawSource& source) {
  return std::make_unique<Qsgd>(options, source);
}

}  // namespace muster::workloads
