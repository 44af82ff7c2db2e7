#include "workloads/common/compression/cast.hpp"

#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

class Cast : public Compressor {
 public:
  explicit Cast(const CastForm& form) : form_(form) {}

  Joining joining() const override { return Joining::summed; }
  DType summed_type() const override { return form_.type; }
  std::optional<std::size_t> packed_bytes(const Layer& layer) const override {
    return static_cast<std::size_t>(layer.elements) * sizeof(std::uint16_t);
  }
  void begin_step(std::uint32_t step, double) override { step_ = step; }

  std::int64_t compress(const Layer& layer, const float* gradient, float, PackedBuffer& out) override {
    if (compression_kernels().largest_magnitude(gradient, layer.elements) >= form_.overflow) {
      throw_not_finite(layer, step_);
    }
    std::byte* to = out.extend(*packed_bytes(layer));
    form_.pack(gradient, layer.elements, reinterpret_cast<std::uint16_t*>(to));
    return layer.elements;
  }
  void decompress_add(const Layer& layer, std::span<const std::byte> packed, float, float factor,
                      float* out) override {
    form_.add(reinterpret_cast<const std::uint16_t*>(packed.data()), layer.elements, factor, out);
  }

 private:
  CastForm form_;
  std::uint32_t step_ = 0;
};

}  // namespace

std::unique_ptr<Compressor> make_cast(const CastForm& form) { return std::make_unique<Cast>(form); }

}  // namespace muster::workloads
