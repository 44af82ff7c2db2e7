#include <cmath>
#include <cstring>
#include <map>
#include <vector>

#include "core/error.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/counter_random.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

/// Gram and Schmidt's, on `rank` vectors of `length` one after the other; one that depends on the others
/// becomes zero.
void orthonormalise(std::vector<float>& vectors, std::int64_t length, std::int64_t rank) {
  const CompressionKernels& loops = compression_kernels();
  for (std::int64_t i = 0; i < rank; ++i) {
    float* x = vectors.data() + i * length;
    const float before = loops.dot(x, x, length);
    for (std::int64_t done = 0; done < i; ++done) {
      const float* other = vectors.data() + done * length;
      loops.add_scaled(-loops.dot(other, x, length), other, length, x);
    }
    const float after = loops.dot(x, x, length);
    // What is left of a dependent vector is rounding.
    loops.scale(after > 1e-10F * before ? 1 / std::sqrt(after) : 0, length, x);
  }
}

/// The gradient as a matrix M of `rows`: P = M Q is averaged over the ranks and made orthonormal, Q = M' P is
/// averaged; P Q' stands for the mean of M. The next step begins with this Q. A layer that would not become
/// smaller travels as it is.
class PowerSgd : public Compressor {
 public:
  PowerSgd(std::int64_t rank, std::uint64_t seed) : rank_(rank), seed_(seed) {
    if (rank < 1)
      throw Error(ExitCode::config, "powersgd needs a rank of at least 1", "the usual ones are 1 to 4");
  }

  Joining joining() const override { return Joining::summed; }
  std::optional<std::size_t> packed_bytes(const Layer& layer) const override {
    return sizeof(float) *
           static_cast<std::size_t>(factored(layer) ? columns(layer) * rank_ : layer.elements);
  }
  std::optional<std::int64_t> kept(const Layer& layer) const override {
    return factored(layer) ? (layer.rows + columns(layer)) * rank_ : layer.elements;
  }
  void begin_step(std::uint32_t step, double) override { step_ = step; }

  std::size_t first_round_bytes(const Layer& layer) const override {
    return factored(layer) ? static_cast<std::size_t>(layer.rows * rank_) * sizeof(float) : 0;
  }
  void first_round(const Layer& layer, const float* gradient, PackedBuffer& out) override {
    require_finite(layer, gradient, step_);
    if (!factored(layer)) return;
    const std::int64_t rows = layer.rows, width = columns(layer);
    auto* p = reinterpret_cast<float*>(out.extend(first_round_bytes(layer)));
    const std::vector<float>& q = q_of(layer);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = 0; i < rank_; ++i) {
        p[i * rows + row] = compression_kernels().dot(gradient + row * width, q.data() + i * width, width);
      }
    }
  }
  void take_first_round(const Layer& layer, std::span<const std::byte> packed, float factor) override {
    if (!factored(layer)) return;
    std::vector<float>& p = p_[layer.index];
    p.resize(packed.size() / sizeof(float));
    std::memcpy(p.data(), packed.data(), packed.size());
    compression_kernels().scale(factor, static_cast<std::int64_t>(p.size()), p.data());
    orthonormalise(p, layer.rows, rank_);
  }

  std::int64_t compress(const Layer& layer, const float* gradient, float, PackedBuffer& out) override {
    const std::size_t bytes = *packed_bytes(layer);
    std::byte* to = out.extend(bytes);
    if (factored(layer)) {
      const std::int64_t rows = layer.rows, width = columns(layer);
      const std::vector<float>& p = p_.at(layer.index);
      auto* q = reinterpret_cast<float*>(to);
      std::memset(to, 0, bytes);
      for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t i = 0; i < rank_; ++i) {
          compression_kernels().add_scaled(p[static_cast<std::size_t>(i * rows + row)],
                                           gradient + row * width, width, q + i * width);
        }
      }
    } else if (bytes > 0) {
      std::memcpy(to, gradient, bytes);
    }
    return *kept(layer);
  }
  void decompress_add(const Layer& layer, std::span<const std::byte> packed, float, float factor,
                      float* out) override {
    std::vector<float> values(packed.size() / sizeof(float));
    if (values.empty()) return;
    std::memcpy(values.data(), packed.data(), packed.size());
    compression_kernels().scale(factor, static_cast<std::int64_t>(values.size()), values.data());
    if (!factored(layer)) {
      compression_kernels().add(values.data(), layer.elements, out);
      return;
    }
    const std::int64_t rows = layer.rows, width = columns(layer);
    const std::vector<float>& p = p_.at(layer.index);
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t i = 0; i < rank_; ++i) {
        compression_kernels().add_scaled(p[static_cast<std::size_t>(i * rows + row)],
                                         values.data() + i * width, width, out + row * width);
      }
    }
    // Of a step's calls the last has the ranks' mean.
    q_of(layer) = std::move(values);
  }

  std::vector<std::pair<std::uint32_t, std::vector<float>*>> state(
      const std::vector<Layer>& layers) override {
    std::vector<std::pair<std::uint32_t, std::vector<float>*>> all;
    for (const Layer& layer : layers) {
      if (factored(layer)) all.emplace_back(layer.index, &q_of(layer));
    }
    return all;
  }

 private:
  static std::int64_t columns(const Layer& layer) { return layer.rows > 0 ? layer.elements / layer.rows : 0; }
  bool factored(const Layer& layer) const {
    return layer.rows > 1 && (layer.rows + columns(layer)) * rank_ < layer.elements;
  }
  std::vector<float>& q_of(const Layer& layer) {
    std::vector<float>& q = q_[layer.index];
    if (q.empty()) {
      const CounterRandom random(seed_, RandomStream::powersgd);
      q.resize(static_cast<std::size_t>(columns(layer) * rank_));
      for (std::size_t i = 0; i < q.size(); ++i) {
        const auto bits = random.draw(layer.index, static_cast<std::uint32_t>(i))[0];
        q[i] = static_cast<float>(static_cast<double>(bits) * 0x1p-31 - 1);
      }
    }
    return q;
  }

  std::int64_t rank_;
  std::uint64_t seed_;
  std::uint32_t step_ = 0;
  std::map<std::uint32_t, std::vector<float>> q_;  ///< rank x columns, the last step's
  std::map<std::uint32_t, std::vector<float>> p_;  ///< rank x rows, orthonormal, this step's
};

}  // namespace

std::unique_ptr<Compressor> make_powersgd(const CompressionOptions& options, const DrawSource& source) {
  return std::make_unique<PowerSgd>(options.rank, source.seed);
}

}  // namespace muster::workloads
