#include <bit>
#include <cstring>

#include "core/error.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/compression/sparse.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

class ThresholdV : public Compressor {
 public:
  explicit ThresholdV(double threshold)
      : floor_(std::bit_cast<std::uint32_t>(static_cast<float>(threshold))) {
    if (!(threshold >= 0)) {
      throw Error(ExitCode::config, "a threshold of magnitudes must not be negative",
                  "choose one such as 0.001");
    }
  }

  Joining joining() const override { return Joining::gathered; }
  std::optional<std::size_t> packed_bytes(const Layer&) const override { return std::nullopt; }
  std::optional<std::int64_t> kept(const Layer&) const override { return std::nullopt; }
  void begin_step(std::uint32_t step, double) override { step_ = step; }

  std::int64_t compress(const Layer& layer, const float* gradient, float, PackedBuffer& out) override {
    // Indices go where they belong at once; values follow when it is known how many there are.
    const auto room = static_cast<std::size_t>(layer.elements) + 64;
    auto* index = reinterpret_cast<std::uint32_t*>(out.extend(room * 8));
    std::uint32_t* bits = bits_.resize(room);
    std::uint32_t largest = 0;
    const std::int64_t found = compression_kernels().collect(gradient, layer.elements, floor_,
                                                             layer.elements + 64, index, bits, &largest);
    if (largest >= 0x7F800000) throw_not_finite(layer, step_);
    const auto kept = static_cast<std::size_t>(found);
    if (kept > 0) std::memcpy(index + kept, bits, kept * sizeof *bits);
    out.drop((room - kept) * 8);
    return found;
  }
  void decompress_add(const Layer&, std::span<const std::byte> packed, float, float factor,
                      float* out) override {
    add_sparse(packed, factor, out);
  }

 private:
  std::uint32_t floor_;
  std::uint32_t step_ = 0;
  GrowingBuffer<std::uint32_t> bits_;
};

}  // namespace

std::unique_ptr<Compressor> make_thresholdv(const CompressionOptions& options, const DrawSource&) {
  return std::make_unique<ThresholdV>(options.threshold);
}

}  // namespace muster::workloads
