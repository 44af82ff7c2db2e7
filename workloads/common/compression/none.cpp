#include <cstring>

#include "workloads/common/compression/methods.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

class None : public Compressor {
 public:
  Joining joining() const override { return Joining::summed; }
  std::optional<std::size_t> packed_bytes(const Layer& layer) const override {
    return static_cast<std::size_t>(layer.elements) * sizeof(float);
  }
  void begin_step(std::uint32_t step, double) override { step_ = step; }
  std::int64_t compress(const Layer& layer, const float* gradient, float, PackedBuffer& out) override {
    require_finite(layer, gradient, step_);
    const std::size_t bytes = static_cast<std::size_t>(layer.elements) * sizeof(float);
    std::byte* to = out.extend(bytes);
    if (bytes > 0) std::memcpy(to, gradient, bytes);
    return layer.elements;
  }
  void decompress_add(const Layer& layer, std::span<const std::byte> packed, float, float factor,
                      float* out) override {
    compression_kernels().add_scaled(factor, reinterpret_cast<const float*>(packed.data()), layer.elements,
                                     out);
  }

 private:
  std::uint32_t step_ = 0;
};

}  // namespace

std::unique_ptr<Compressor> make_none(const CompressionOptions&, const DrawSource&) {
  return std::make_unique<None>();
}

}  // namespace muster::workloads
