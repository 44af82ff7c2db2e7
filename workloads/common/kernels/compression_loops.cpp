// Compiled once for each instruction set, with MUSTER_KERNELS naming it. See kernels.hpp for what may be
// included here.
#include "workloads/common/kernels/compression.hpp"
#include "workloads/common/kernels/levels.hpp"
#include "workloads/common/kernels/vector_draws.hpp"

namespace muster::workloads::MUSTER_KERNELS {
namespace {

// ---- selection

struct Range {
  std::uint32_t low, high;  // both within
};

// Where elements that are wanted go: index may be null in a window, which counts what lies above it instead.
struct Found {
  std::uint32_t* index;
  std::uint32_t* bits;
  std::int64_t count, capacity;
  std::int64_t above;
  std::uint32_t largest;
};

template <std::uint32_t kMask, bool kWindow>
inline bool collect_from(const std::uint32_t* x, std::int64_t count, std::uint32_t origin, Range range,
                         Found& found) {
  std::int64_t i = 0;
  std::uint32_t* const index = found.index;
  std::uint32_t* const bits = found.bits;
  std::int64_t at = found.count, above = found.above;
  std::uint32_t top = found.largest;
#if defined(__AVX512F__)
  // Where most vectors hold none, a branch is guessed right; else it costs more than stores to no avail.
  const bool few = kWindow || found.capacity < count / 16;
  const __m512i mask = _mm512_set1_epi32(static_cast<int>(kMask));
  const __m512i low = _mm512_set1_epi32(static_cast<int>(range.low));
  const __m512i high = _mm512_set1_epi32(static_cast<int>(range.high));
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i tops = _mm512_set1_epi32(static_cast<int>(top));
  for (; i + 16 <= count; i += 16) {
    const __m512i value = _mm512_loadu_si512(x + i);
    const __m512i key = _mm512_and_si512(value, mask);
    tops = _mm512_max_epu32(tops, key);
    __mmask16 wanted = _mm512_cmpge_epu32_mask(key, low);
    if (kWindow) {
      const __mmask16 beyond = _mm512_cmpgt_epu32_mask(key, high);
      above += __builtin_popcount(beyond);
      wanted = static_cast<__mmask16>(wanted & ~beyond);
    }
    if (few) {
      if (wanted == 0) continue;
    } else {
      __builtin_prefetch(x + i + 1024);
    }
    if (at + 16 > found.capacity) return false;
    if (!kWindow) {
      const __m512i place = _mm512_add_epi32(
          lanes, _mm512_set1_epi32(static_cast<int>(origin + static_cast<std::uint32_t>(i))));
      _mm512_storeu_si512(index + at, _mm512_maskz_compress_epi32(wanted, place));
    }
    _mm512_storeu_si512(bits + at, _mm512_maskz_compress_epi32(wanted, value));
    at += __builtin_popcount(wanted);
  }
  top = _mm512_reduce_max_epu32(tops);
#elif defined(__AVX2__)
  const __m256i mask = _mm256_set1_epi32(static_cast<int>(kMask));
  const __m256i low = _mm256_set1_epi32(static_cast<int>(range.low));
  const __m256i high = _mm256_set1_epi32(static_cast<int>(range.high));
  __m256i tops = _mm256_set1_epi32(static_cast<int>(top));
  const auto lanes_of = [](__m256i vector) {
    return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(vector)));
  };
  for (; i + 8 <= count; i += 8) {
    const __m256i value = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
    const __m256i key = _mm256_and_si256(value, mask);
    tops = _mm256_max_epu32(tops, key);
    unsigned lanes = lanes_of(_mm256_cmpeq_epi32(_mm256_max_epu32(key, low), key));
    if (kWindow) {
      const unsigned beyond = 0xFF & ~lanes_of(_mm256_cmpeq_epi32(_mm256_min_epu32(key, high), key));
      above += __builtin_popcount(beyond);
      lanes &= ~beyond;
    }
    if (lanes == 0) continue;
    if (at + 16 > found.capacity) return false;
    // The wanted lanes' numbers, a byte each, moved down.
    const std::uint64_t chosen = _pext_u64(0x0706050403020100, _pdep_u64(lanes, 0x0101010101010101) * 0xFF);
    const __m256i order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(chosen)));
    if (!kWindow) {
      const __m256i place = _mm256_add_epi32(
          order, _mm256_set1_epi32(static_cast<int>(origin + static_cast<std::uint32_t>(i))));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(index + at), place);
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(bits + at), _mm256_permutevar8x32_epi32(value, order));
    at += __builtin_popcount(lanes);
  }
  alignas(32) std::uint32_t each[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(each), tops);
  for (const std::uint32_t one : each) top = one > top ? one : top;
#endif
  for (; i < count; ++i) {
    const std::uint32_t key = x[i] & kMask;
    top = key > top ? key : top;
    if (at + 16 > found.capacity) return false;
    if (!kWindow) index[at] = origin + static_cast<std::uint32_t>(i);
    bits[at] = x[i];
    above += kWindow && key > range.high ? 1 : 0;
    at += key >= range.low && key <= range.high ? 1 : 0;
  }
  found.count = at;
  found.above = above;
  found.largest = top;
  return true;
}

inline std::int64_t count_from(const std::uint32_t* x, std::int64_t count, std::uint32_t mask,
                               std::uint32_t floor) {
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count;) {
    const std::int64_t end = count - i > kBlock ? i + kBlock : count;
    std::uint32_t here = 0;
    for (; i < end; ++i) here += (x[i] & mask) >= floor;
    found += here;
  }
  return found;
}

// The same memory as words. Floats are only read through this.
typedef std::uint32_t AliasedWord __attribute__((may_alias));
inline const std::uint32_t* words(const float* x) { return reinterpret_cast<const AliasedWord*>(x); }

template <bool kWindow>
std::int64_t collected(const float* x, std::int64_t count, Range range, Found& found) {
  return collect_from<kMagnitude, kWindow>(words(x), count, 0, range, found) ? found.count : -1;
}

template <bool kWindow>
std::int64_t collected_drawn(const DrawKey& key, std::int64_t count, Range range, Found& found) {
  alignas(64) std::uint32_t block[kBlock];
  for (std::int64_t first = 0; first < count; first += kBlock) {
    draw_block(key, first / kBlock, block);
    const std::int64_t here = count - first < kBlock ? count - first : kBlock;
    if (!collect_from<0xFFFFFFFF, kWindow>(block, here, static_cast<std::uint32_t>(first), range, found))
      return -1;
  }
  return found.count;
}

std::int64_t collect(const float* x, std::int64_t count, std::uint32_t floor, std::int64_t capacity,
                     std::uint32_t* index, std::uint32_t* bits, std::uint32_t* largest) {
  Found found{index, bits, 0, capacity, 0, 0};
  const std::int64_t result = collected<false>(x, count, {floor, 0xFFFFFFFF}, found);
  *largest = found.largest;
  return result;
}

std::int64_t window(const float* x, std::int64_t count, std::uint32_t low, std::uint32_t high,
                    std::int64_t capacity, std::uint32_t* bits, std::int64_t* above) {
  Found found{nullptr, bits, 0, capacity, 0, 0};
  const std::int64_t result = collected<true>(x, count, {low, high}, found);
  *above = found.above;
  return result;
}

std::int64_t count_elements(const float* x, std::int64_t count, std::uint32_t floor) {
  return count_from(words(x), count, kMagnitude, floor);
}

std::int64_t collect_drawn(DrawKey key, std::int64_t count, std::uint32_t floor, std::int64_t capacity,
                           std::uint32_t* index, std::uint32_t* drawn) {
  Found found{index, drawn, 0, capacity, 0, 0};
  return collected_drawn<false>(key, count, {floor, 0xFFFFFFFF}, found);
}

std::int64_t window_drawn(DrawKey key, std::int64_t count, std::uint32_t low, std::uint32_t high,
                          std::int64_t capacity, std::uint32_t* drawn, std::int64_t* above) {
  Found found{nullptr, drawn, 0, capacity, 0, 0};
  const std::int64_t result = collected_drawn<true>(key, count, {low, high}, found);
  *above = found.above;
  return result;
}

std::int64_t count_drawn(DrawKey key, std::int64_t count, std::uint32_t floor) {
  alignas(64) std::uint32_t block[kBlock];
  std::int64_t found = 0;
  for (std::int64_t first = 0; first < count; first += kBlock) {
    draw_block(key, first / kBlock, block);
    found += count_from(block, count - first < kBlock ? count - first : kBlock, 0xFFFFFFFF, floor);
  }
  return found;
}

std::uint32_t largest_magnitude(const float* x, std::int64_t count) {
  const std::uint32_t* __restrict from = words(x);
  std::int32_t largest = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto magnitude = static_cast<std::int32_t>(from[i] & kMagnitude);
    largest = magnitude > largest ? magnitude : largest;
  }
  return static_cast<std::uint32_t>(largest);
}

void moments(const float* x, std::int64_t count, double* sum, double* squares) {
  constexpr int kPart = kWidth / 2;
  constexpr int kParts = kColumns / kPart;
  Doubles sums[kParts] = {}, products[kParts] = {};
  std::int64_t i = 0;
  for (; i + kColumns <= count; i += kColumns) {
    for (int part = 0; part < kParts; ++part) {
      const Doubles value = __builtin_convertvector(load<HalfFloats>(x + i + part * kPart), Doubles);
      sums[part] += value;
      products[part] += value * value;
    }
  }
  for (int column = 0; i < count; ++i, ++column) {
    const double value = x[i];
    sums[column / kPart][column % kPart] += value;
    products[column / kPart][column % kPart] += value * value;
  }
  *sum = *squares = 0;
  for (int column = 0; column < kColumns; ++column) {
    *sum += sums[column / kPart][column % kPart];
    *squares += products[column / kPart][column % kPart];
  }
}

// ---- quantisation

// y = (magnitude * lift) * inverse: where a scale is so small that its inverse overflows, lift makes up for
// it.
struct Factors {
  float lift, inverse;
};

inline Factors factors_of(float scale, std::uint32_t levels) {
  if (scale == 0) return {0, 0};
  const float lift = scale < 0x1p-60F ? 0x1p100F : 1;
  return {lift, static_cast<float>(levels) / (scale * lift)};
}

// Writes kBlock codes and says whether there are any whose 16 bits decide nothing; kFlagged marks them.
template <bool kFlagged>
bool quantise_block(const float* x, const Quantisation& how, Factors factors, std::int64_t block,
                    std::uint32_t* codes) {
  Words nearest = Words{} + 1;
  const Ints levels = Ints{} + static_cast<std::int32_t>(how.levels);
  const Floats limit = Floats{} + how.limit;
  for (int column = 0; column < kColumns; column += kWidth) {
    for (int eight = 0; eight < kRows; eight += 8) {
      const Drawn drawn =
          draw<kRoundingRounds>(how.key, static_cast<std::uint32_t>(64 * block + 16 * (eight / 8) + column));
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        const int at = (eight + i) * kColumns + column;
        const Words half = i % 2 == 1 ? drawn.word[i / 2] >> 16 : drawn.word[i / 2] & 0xFFFF;
        const Words raw = load<Words>(x + at);
        Floats magnitude = (Floats)(raw & kMagnitude);
        magnitude = magnitude < limit ? magnitude : limit;
        const Floats y = (magnitude * factors.lift) * factors.inverse;
        const Ints whole = __builtin_convertvector(y, Ints);
        const Floats fraction = y - __builtin_convertvector(whole, Floats);
        const Ints threshold = __builtin_convertvector(fraction * 65536.0F, Ints);
        const Words apart = half ^ (Words)threshold;
        nearest = nearest < apart ? nearest : apart;
        Ints level = whole - ((Ints)half < threshold);  // A comparison is -1 where it holds.
        level = level < levels ? level : levels;
        Words code = ((Words)level << 1) | (raw >> 31);
        if (kFlagged) code |= (Words)((Ints)apart == 0) & kFlag;
        store(codes + at, code);
      }
    }
  }
  return any((Words)(nearest == 0));
}

void settle_ties(const float* x, std::int64_t count, const Quantisation& how, Factors factors,
                 std::int64_t first, std::uint32_t* codes) {
  for (std::int64_t i = 0; i < count; ++i) {
    if ((codes[i] & kFlag) == 0) continue;
    codes[i] &= ~kFlag;
    float magnitude = __builtin_fabsf(x[i]);
    magnitude = magnitude < how.limit ? magnitude : how.limit;
    const float y = (magnitude * factors.lift) * factors.inverse;
    const float scaled = (y - static_cast<float>(static_cast<std::int32_t>(y))) * 65536.0F;
    const double rest = static_cast<double>(scaled - static_cast<float>(static_cast<std::int32_t>(scaled)));
    const std::uint32_t bits = drawn_word0(how.key, how.tie_purpose, static_cast<std::uint32_t>(first + i));
    const bool up = static_cast<double>(bits) < rest * 4294967296.0;
    if (up && (codes[i] >> 1) < how.levels) codes[i] += 2;
  }
}

void pack_block(const std::uint32_t* codes, int bits, std::uint8_t* out) {
  for (int column = 0; column < kColumns; column += kWidth) {
    std::uint8_t* to = out + column * sizeof(std::uint32_t);
    Words word{};
    int used = 0;
    for (int row = 0; row < kRows; ++row) {
      const Words code = load<Words>(codes + row * kColumns + column);
      word |= code << used;
      used += bits;
      if (used >= 32) {
        store(to, word);
        to += kColumns * sizeof(std::uint32_t);
        used -= 32;
        word = used > 0 ? code >> (bits - used) : Words{};
      }
    }
  }
}

void unpack_block_add(const std::uint8_t* packed, int bits, float unit, float* out) {
  const std::uint32_t mask = (1U << bits) - 1;
  for (int column = 0; column < kColumns; column += kWidth) {
    const std::uint8_t* from = packed + column * sizeof(std::uint32_t);
    Words word = load<Words>(from);
    int used = 0;
    for (int row = 0; row < kRows; ++row) {
      Words code = word >> used;
      used += bits;
      if (used >= 32) {
        used -= 32;
        if (row + 1 < kRows || used > 0) {
          from += kColumns * sizeof(std::uint32_t);
          word = load<Words>(from);
          if (used > 0) code |= word << (bits - used);
        }
      }
      code &= mask;
      const Floats size = __builtin_convertvector((Ints)(code >> 1), Floats) * unit;
      float* at = out + row * kColumns + column;
      store(at, load<Floats>(at) + (Floats)((Words)size ^ (code << 31)));
    }
  }
}

void pack_rest(const std::uint32_t* codes, std::int64_t count, int bits, std::uint8_t* out) {
  std::uint64_t pending = 0;
  int used = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    pending |= std::uint64_t{codes[i]} << used;
    for (used += bits; used >= 8; used -= 8, pending >>= 8) *out++ = static_cast<std::uint8_t>(pending);
  }
  if (used > 0) *out = static_cast<std::uint8_t>(pending);
}

void unpack_rest_add(const std::uint8_t* packed, std::int64_t count, int bits, float unit, float* out) {
  std::uint64_t pending = 0;
  int held = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    for (; held < bits; held += 8) pending |= std::uint64_t{*packed++} << held;
    const auto code = static_cast<std::uint32_t>(pending & ((1U << bits) - 1));
    pending >>= bits;
    held -= bits;
    const float size = static_cast<float>(code >> 1) * unit;
    out[i] += (code & 1) != 0 ? -size : size;
  }
}

inline float scale_at(const Quantisation& how, std::int64_t element) {
  return how.scales[how.bucket > 0 ? element / how.bucket : 0];
}

void quantise(const float* x, std::int64_t count, const Quantisation& how, std::uint8_t* packed) {
  alignas(64) std::uint32_t codes[kBlock];
  std::int64_t first = 0;
  for (; first + kBlock <= count; first += kBlock) {
    const Factors factors = factors_of(scale_at(how, first), how.levels);
    if (quantise_block<false>(x + first, how, factors, first / kBlock, codes)) {
      quantise_block<true>(x + first, how, factors, first / kBlock, codes);
      settle_ties(x + first, kBlock, how, factors, first, codes);
    }
    pack_block(codes, how.bits, packed);
    packed += kBlock / 8 * how.bits;
  }
  if (first == count) return;
  alignas(64) float rest[kBlock] = {};
  for (std::int64_t i = first; i < count; ++i) rest[i - first] = x[i];
  const Factors factors = factors_of(scale_at(how, first), how.levels);
  quantise_block<true>(rest, how, factors, first / kBlock, codes);
  settle_ties(rest, count - first, how, factors, first, codes);
  pack_rest(codes, count - first, how.bits, packed);
}

void dequantise_add(const std::uint8_t* packed, std::int64_t count, const Quantisation& how, float* out) {
  const auto levels = static_cast<float>(how.levels);
  std::int64_t first = 0;
  for (; first + kBlock <= count; first += kBlock) {
    const float unit = scale_at(how, first) / levels;
    unpack_block_add(packed, how.bits, unit, out + first);
    packed += kBlock / 8 * how.bits;
  }
  if (first == count) return;
  unpack_rest_add(packed, count - first, how.bits, scale_at(how, first) / levels, out + first);
}

// ---- passes

void to_half(const float* x, std::int64_t count, std::uint16_t* out) {
  std::int64_t i = 0;
#if defined(__AVX2__)
  for (; i + 8 <= count; i += 8) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT));
  }
#endif
  for (; i < count; ++i) out[i] = __builtin_bit_cast(std::uint16_t, static_cast<_Float16>(x[i]));
}

void add_half(const std::uint16_t* x, std::int64_t count, float factor, float* out) {
  std::int64_t i = 0;
#if defined(__AVX2__)
  for (; i + 8 <= count; i += 8) {
    const __m256 value = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x + i)));
    _mm256_storeu_ps(out + i,
                     _mm256_add_ps(_mm256_loadu_ps(out + i), _mm256_mul_ps(value, _mm256_set1_ps(factor))));
  }
#endif
  for (; i < count; ++i) out[i] += static_cast<float>(__builtin_bit_cast(_Float16, x[i])) * factor;
}

void to_bf16(const float* __restrict x, std::int64_t count, std::uint16_t* __restrict out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const std::uint32_t bits = bits_of(x[i]);
    out[i] = static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
  }
}

void add_bf16(const std::uint16_t* __restrict x, std::int64_t count, float factor, float* __restrict out) {
  for (std::int64_t i = 0; i < count; ++i) {
    out[i] += __builtin_bit_cast(float, static_cast<std::uint32_t>(x[i]) << 16) * factor;
  }
}

float dot(const float* x, const float* y, std::int64_t count) {
  constexpr int kParts = kColumns / kWidth;
  Floats sums[kParts] = {};
  std::int64_t i = 0;
  for (; i + kColumns <= count; i += kColumns) {
    for (int part = 0; part < kParts; ++part) {
      const std::int64_t at = i + part * kWidth;
      sums[part] += load<Floats>(x + at) * load<Floats>(y + at);
    }
  }
  for (int column = 0; i < count; ++i, ++column) sums[column / kWidth][column % kWidth] += x[i] * y[i];
  float sum = 0;
  for (int column = 0; column < kColumns; ++column) sum += sums[column / kWidth][column % kWidth];
  return sum;
}

void add_scaled(float factor, const float* __restrict x, std::int64_t count, float* __restrict out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] += factor * x[i];
}

void add(const float* __restrict x, std::int64_t count, float* __restrict out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] += x[i];
}

void scale(float factor, std::int64_t count, float* __restrict out) {
  for (std::int64_t i = 0; i < count; ++i) out[i] *= factor;
}

#define MUSTER_TEXT_OF(name) #name
#define MUSTER_TEXT(name) MUSTER_TEXT_OF(name)
constexpr CompressionKernels kTable{MUSTER_TEXT(MUSTER_KERNELS),
                                    largest_magnitude,
                                    moments,
                                    collect,
                                    window,
                                    count_elements,
                                    collect_drawn,
                                    window_drawn,
                                    count_drawn,
                                    quantise,
                                    dequantise_add,
                                    to_half,
                                    add_half,
                                    to_bf16,
                                    add_bf16,
                                    dot,
                                    add_scaled,
                                    add,
                                    scale};

}  // namespace

const CompressionKernels& compression() { return kTable; }

}  // namespace muster::workloads::MUSTER_KERNELS
