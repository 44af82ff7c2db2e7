#pragma once
/// Lossy compression of gradients: one interface, one file a method. docs/compressed.md describes the packed
/// forms.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/dtype.hpp"
#include "workloads/common/compression/packed_buffer.hpp"

namespace muster::workloads {

struct CompressionOptions {
  std::string method = "none";  ///< see compressor_names()
  double ratio = 0.5;           ///< topk, randomk: share of the elements that is kept
  bool unbiased = false;        ///< randomk: kept elements times elements / kept
  double threshold = 0.001;     ///< thresholdv
  double clip = 0;              ///< terngrad: standard deviations beyond which elements are cut; 0: none
  std::int64_t levels = 255;    ///< qsgd
  std::int64_t bucket = 0;      ///< qsgd: elements with a norm of their own, a multiple of 512; 0: all
  std::int64_t rank = 4;        ///< powersgd
};

/// What is compressed as one: a parameter's gradient, or all of them in a row.
struct Layer {
  std::string name;         ///< for errors
  std::uint32_t index = 0;  ///< draws depend on it
  std::int64_t elements = 0;
  std::int64_t rows = 1;  ///< as a matrix: the first dimension
};

/// How the ranks' packed forms become one: all are handed to everyone, or they are added up on the way.
enum class Joining { gathered, summed };

/// Compresses on one rank; not for two threads at once. Every rank must be made from the same options and
/// seed and compress the same layers in the same order. Draws are a function of seed, layer, step, element
/// and, where ranks must differ, rank: nothing else, so packed forms depend on neither buckets nor threads
/// nor interruptions.
class Compressor {
 public:
  virtual ~Compressor() = default;

  virtual Joining joining() const = 0;
  /// Of the elements of a summed packed form.
  virtual DType summed_type() const { return DType::f32; }
  /// Bytes of the packed form of a layer, the closed form: nullopt where they depend on the values
  /// (thresholdv).
  virtual std::optional<std::size_t> packed_bytes(const Layer& layer) const = 0;
  /// Elements of a layer whose values travel; likewise.
  virtual std::optional<std::int64_t> kept(const Layer& layer) const { return layer.elements; }

  /// Before a step's first layer. `step` counts from 0; `ratio` replaces the options'.
  virtual void begin_step(std::uint32_t step, double ratio) = 0;

  /// Whether all ranks must compress a layer with the largest of their scales.
  virtual bool agrees_on_scale() const { return false; }
  /// Throws Error(diverged) naming the layer where an element is NaN or infinite.
  virtual float own_scale(const Layer&, const float*) { return 0; }

  /// Appends the packed form of layer.elements floats and returns how many elements it keeps. Throws
  /// Error(diverged) naming the layer where one is NaN, infinite, or beyond what the form can hold.
  virtual std::int64_t compress(const Layer& layer, const float* gradient, float scale,
                                PackedBuffer& out) = 0;
  /// out += factor * what the packed form stands for.
  virtual void decompress_add(const Layer& layer, std::span<const std::byte> packed, float scale,
                              float factor, float* out) = 0;

  /// A method in two rounds (powersgd) has its first here: what is summed over the ranks before compress() is
  /// called, where its mean is handed back.
  virtual std::size_t first_round_bytes(const Layer&) const { return 0; }
  virtual void first_round(const Layer&, const float*, PackedBuffer&) {}
  virtual void take_first_round(const Layer&, std::span<const std::byte>, float) {}

  /// What a checkpoint must hold, by layer; the same on every rank. Grows as layers are first seen.
  virtual std::vector<std::pair<std::uint32_t, std::vector<float>*>> state(const std::vector<Layer>&) {
    return {};
  }
};

/// "none", "fp16", "bf16", "topk", "randomk", "thresholdv", "terngrad", "qsgd", "powersgd".
const std::vector<std::string>& compressor_names();

/// Throws Error(config) for an unknown method or options that it cannot take.
std::unique_ptr<Compressor> make_compressor(const CompressionOptions& options, std::uint64_t seed, int rank);

/// max(1, floor(elements * ratio)), 0 of none.
std::int64_t kept_elements(std::int64_t elements, double ratio);

/// |x|^2, in fp64.
double square_norm(const float* x, std::int64_t count);
/// |error| / |x| from their squares; 0 of zeros.
double relative_error(double error_square, double norm_square);

/// Throws throw_not_finite's error where an element is NaN or infinite.
void require_finite(const Layer& layer, const float* gradient, std::uint32_t step);

/// Error(diverged) about a layer's gradient.
[[noreturn]] void throw_not_finite(const Layer& layer, std::uint32_t step);

}  // namespace muster::workloads
