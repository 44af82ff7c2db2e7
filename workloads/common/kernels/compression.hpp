#pragma once
/// The hot loops of gradient compressors: torch-free, one thread, chosen for the CPU as kernels.hpp's. All
/// instruction sets give the same bits.
///
/// Elements are taken in blocks of 512, each 32 rows of 16 columns. Draws are Philox 4x32 (see
/// counter_random.hpp) with the key `seed` and the counter {n, layer, step, purpose}, where n names the place
/// in the tensor, so that they depend on nothing else: 10 rounds to select, 7 to round, the fewest that pass
/// all of BigCrush (Salmon et al. 2011).

#include <cstdint>

namespace muster::workloads {

/// What draws depend on beside the element.
struct DrawKey {
  std::uint64_t seed = 0;
  std::uint32_t layer = 0;
  std::uint32_t step = 0;
  std::uint32_t purpose = 0;  ///< a RandomStream, and the rank where ranks must differ
};

/// Rounding of x to multiples of scale / levels at random, so that the mean is x (Alistarh et al. 2017,
/// "QSGD"; with one level Wen et al. 2017, "TernGrad").
///
/// Element e, in row r and column c of block b, has the 16 bits `half (r % 2) of word (r % 8) / 2` of the
/// draw with n = 64 b + 16 (r / 8) + c; they are compared with the first 16 bits of the fraction. Where these
/// are equal, the 32 bits of word 0 of the draw for purpose `tie_purpose` with n = e are compared with the
/// next.
struct Quantisation {
  std::uint32_t levels = 1;        ///< 1 to 32767
  int bits = 2;                    ///< of a code: a sign below the bits of `levels`
  std::int64_t bucket = 0;         ///< elements with a scale of their own: a multiple of 512; 0: all
  const float* scales = nullptr;   ///< one a bucket; elements beyond are clamped. 0: all become 0
  float limit = __builtin_inff();  ///< larger magnitudes are cut to this
  DrawKey key;
  std::uint32_t tie_purpose = 0;
};

struct CompressionKernels {
  const char* name;
  /// The largest magnitude as bits of a float: 0x7F800000 or more where an element is infinite or NaN; 0 of
  /// none.
  std::uint32_t (*largest_magnitude)(const float* x, std::int64_t count);
  /// Sums of x and of its square, 16 columns each summed downwards, then the columns in order.
  void (*moments)(const float* x, std::int64_t count, double* sum, double* squares);
  /// Writes index and bits of the elements whose magnitude's bits are at least `floor`, in order, and returns
  /// their number; -1 where capacity might not suffice, which needs 16 more than there are. `largest`
  /// receives the largest magnitude's bits of all that were looked at.
  std::int64_t (*collect)(const float* x, std::int64_t count, std::uint32_t floor, std::int64_t capacity,
                          std::uint32_t* index, std::uint32_t* bits, std::uint32_t* largest);
  /// Writes the bits of the elements whose magnitude's bits are between low and high, both within, and
  /// returns their number or -1, as collect; `above` receives how many lie above.
  std::int64_t (*window)(const float* x, std::int64_t count, std::uint32_t low, std::uint32_t high,
                         std::int64_t capacity, std::uint32_t* bits, std::int64_t* above);
  /// How many collect would write.
  std::int64_t (*count)(const float* x, std::int64_t count, std::uint32_t floor);
  /// The same three for 32 bits drawn for each element (row r, column c of block b: word r % 4 of the draw
  /// with n = 128 b + 16 (r / 4) + c).
  std::int64_t (*collect_drawn)(DrawKey key, std::int64_t count, std::uint32_t floor, std::int64_t capacity,
                                std::uint32_t* index, std::uint32_t* drawn);
  std::int64_t (*window_drawn)(DrawKey key, std::int64_t count, std::uint32_t low, std::uint32_t high,
                               std::int64_t capacity, std::uint32_t* drawn, std::int64_t* above);
  std::int64_t (*count_drawn)(DrawKey key, std::int64_t count, std::uint32_t floor);
  /// Codes (level << 1 | sign) in `bits` bits. A full block is 16 streams of 32-bit words, one a column, word
  /// w of all columns side by side; what is left is one stream of bytes. ceil(count * bits / 8) bytes.
  void (*quantise)(const float* x, std::int64_t count, const Quantisation& how, std::uint8_t* packed);
  /// out += what the codes stand for. Uses levels, bits, bucket and scales.
  void (*dequantise_add)(const std::uint8_t* packed, std::int64_t count, const Quantisation& how, float* out);
  /// To and from 16-bit floats, rounding to nearest, ties to even; out += factor * x.
  void (*to_half)(const float* x, std::int64_t count, std::uint16_t* out);
  void (*add_half)(const std::uint16_t* x, std::int64_t count, float factor, float* out);
  void (*to_bf16)(const float* x, std::int64_t count, std::uint16_t* out);
  void (*add_bf16)(const std::uint16_t* x, std::int64_t count, float factor, float* out);
  /// Of two vectors: 16 columns each summed downwards, then the columns in order.
  float (*dot)(const float* x, const float* y, std::int64_t count);
  /// out += factor * x
  void (*add_scaled)(float factor, const float* x, std::int64_t count, float* out);
  void (*add)(const float* x, std::int64_t count, float* out);
  void (*scale)(float factor, std::int64_t count, float* out);
};

/// As kernels().
const CompressionKernels& compression_kernels();

}  // namespace muster::workloads
