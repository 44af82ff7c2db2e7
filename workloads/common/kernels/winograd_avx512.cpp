// Compiled for AVX-512 with bfloat16 products. See kernels.hpp for what may be included here.
#include <immintrin.h>

#include "workloads/common/kernels/winograd.hpp"
#include "workloads/common/kernels/winograd_levels.hpp"

namespace muster::workloads::avx512 {
namespace {

using Vector = __m512;  // 16 floats

constexpr std::int64_t kRows = 8;  // of a product's left side that are made together
constexpr std::int64_t kPositions = kWinogradPositions;
constexpr std::int64_t kLanes = kWinogradLanes;

// How 16 values become an Element and how products are summed. `kPack` neighbours along the summed dimension
// are kept together: one bfloat16 product takes two.
template <class Element>
struct Arithmetic;

template <>
struct Arithmetic<float> {
  static constexpr std::int64_t kPack = 1;
  static Vector load(const float* from, __mmask16 mask = 0xFFFF) { return _mm512_maskz_loadu_ps(mask, from); }
  static void store_half(float* to, Vector value) { _mm512_storeu_ps(to, value); }
  static void store(float* to, Vector low, Vector high) {
    _mm512_storeu_ps(to, low);
    _mm512_storeu_ps(to + 16, high);
  }
  static Vector multiply_add(const float* left, Vector right, Vector sum) {
    return _mm512_fmadd_ps(_mm512_set1_ps(*left), right, sum);
  }
  static Vector load_right(const float* from) { return _mm512_loadu_ps(from); }
};

template <>
struct Arithmetic<Bf16> {
  static constexpr std::int64_t kPack = 2;
  static Vector load(const Bf16* from, __mmask16 mask = 0xFFFF) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static void store_half(Bf16* to, Vector value) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(value)));
  }
  static void store(Bf16* to, Vector low, Vector high) {
    _mm512_storeu_si512(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low)));
  }
  static Vector multiply_add(const Bf16* left, Vector right, Vector sum) {
    const __m512i pair = _mm512_set1_epi32(*reinterpret_cast<const int*>(left));
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(pair), reinterpret_cast<__m512bh>(right));
  }
  static Vector load_right(const Bf16* from) { return _mm512_loadu_ps(reinterpret_cast<const float*>(from)); }
};

// a0 b0 a1 b1 ... of two vectors, as bfloat16.
inline __m512i interleaved(Vector a, Vector b) {
  const __m512i joined = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b, a));
  const __m512i low = _mm512_cvtepu16_epi32(_mm512_castsi512_si256(joined));
  const __m512i high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(joined, 1)), 16);
  return _mm512_or_si512(low, high);
}

// out[r][0..32) (+)= sum over d of left(r, d) * right(d, 0..32), 8 rows. Strides count elements; a step takes
// kPack values.
template <class Element, bool kAdd>
inline void product(const Element* left, std::int64_t left_row, std::int64_t left_step, const Element* right,
                    std::int64_t steps, float* out, std::int64_t out_row) {
  using Math = Arithmetic<Element>;
  Vector sum[kRows][2];
  for (int r = 0; r < kRows; ++r) {
    sum[r][0] = kAdd ? _mm512_loadu_ps(out + r * out_row) : _mm512_setzero_ps();
    sum[r][1] = kAdd ? _mm512_loadu_ps(out + r * out_row + 16) : _mm512_setzero_ps();
  }
  for (std::int64_t d = 0; d < steps; ++d) {
    const Vector first = Math::load_right(right);
    const Vector second = Math::load_right(right + 16 * Math::kPack);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      sum[r][0] = Math::multiply_add(left + r * left_row, first, sum[r][0]);
      sum[r][1] = Math::multiply_add(left + r * left_row, second, sum[r][1]);
    }
    left += left_step;
    right += kLanes * Math::kPack;
  }
  for (int r = 0; r < kRows; ++r) {
    _mm512_storeu_ps(out + r * out_row, sum[r][0]);
    _mm512_storeu_ps(out + r * out_row + 16, sum[r][1]);
  }
}

inline Vector plus(Vector a, Vector b) { return _mm512_add_ps(a, b); }
inline Vector minus(Vector a, Vector b) { return _mm512_sub_ps(a, b); }

// One step of each transform: four (or two, or three) values to four. Two-dimensional transforms take it
// twice.
inline void input_step(Vector& a, Vector& b, Vector& c, Vector& d) {
  const Vector b0 = b;
  a = minus(a, c);
  b = plus(b0, c);
  d = minus(b0, d);
  c = minus(c, b0);
}

// A tile's first output pixel, and that pixel's number among all.
struct Tile {
  std::int64_t row, column, pixel;
};

inline Tile tile_at(const WinogradImages& images, std::int64_t tile) {
  const std::int64_t across = images.width / 2, down = images.height / 2;
  const std::int64_t row = tile / across % down * 2, column = tile % across * 2;
  return {row, column, (tile / (across * down) * images.height + row) * images.width + column};
}

// Where the 16 input pixels of a tile begin, and which of them lie in the image: those outside read zeros.
template <class Element>
struct Pixels {
  const Element* at[16];
  __mmask16 mask[16];
};

template <class Element>
inline void find_pixels(const Element* x, const WinogradImages& images, const Tile& tile,
                        Pixels<Element>& pixels) {
  for (std::int64_t i = 0; i < 4; ++i) {
    for (std::int64_t j = 0; j < 4; ++j) {
      const std::int64_t row = tile.row + i - 1, column = tile.column + j - 1;
      const bool inside = row >= 0 && row < images.height && column >= 0 && column < images.width;
      const std::int64_t pixel = tile.pixel + (i - 1) * images.width + j - 1;
      pixels.at[4 * i + j] = inside ? x + pixel * images.channels : x;
      pixels.mask[4 * i + j] = inside ? 0xFFFF : 0;
    }
  }
}

// The 16 positions of 16 channels of a tile.
template <class Element>
inline void input_tile(const Pixels<Element>& pixels, std::int64_t channel, Vector v[16]) {
  for (int i = 0; i < 16; ++i) v[i] = Arithmetic<Element>::load(pixels.at[i] + channel, pixels.mask[i]);
  for (int j = 0; j < 4; ++j) input_step(v[j], v[4 + j], v[8 + j], v[12 + j]);
  for (int i = 0; i < 16; i += 4) input_step(v[i], v[i + 1], v[i + 2], v[i + 3]);
}

template <class Element>
void forward(const Element* x, WinogradImages input, const Element* transformed, std::int64_t out,
             std::int64_t first, std::int64_t last, void* scratch, Element* y) {
  using Math = Arithmetic<Element>;
  const std::int64_t in = input.channels;
  // Rows a power of two apart would share few lines of the cache.
  const std::int64_t row = in + 32;
  const std::int64_t tiles_stride = winograd_stride(kWinogradTiles * row);
  constexpr std::int64_t kProductsStride = winograd_stride(kWinogradTiles * kLanes);
  auto* tiles = static_cast<Element*>(scratch);
  auto* products = reinterpret_cast<float*>(tiles + kPositions * tiles_stride);
  const std::int64_t count = last - first;
  std::int64_t output[kWinogradTiles];  // each tile's first pixel
  for (std::int64_t t = 0; t < count; ++t) {
    const Tile tile = tile_at(input, first + t);
    output[t] = tile.pixel * out;
    Pixels<Element> pixels;
    find_pixels(x, input, tile, pixels);
    Element* to = tiles + t * row;
    for (std::int64_t c = 0; c < in; c += 16) {
      Vector v[16];
      input_tile(pixels, c, v);
      for (int p = 0; p < kPositions; ++p) Math::store_half(to + p * tiles_stride + c, v[p]);
    }
  }
  const std::int64_t beside[4] = {0, out, input.width * out, (input.width + 1) * out};
  const std::int64_t groups = (count + kRows - 1) / kRows;
  for (std::int64_t k = 0; k < out; k += kLanes) {
    for (std::int64_t p = 0; p < kPositions; ++p) {
      const Element* right = transformed + p * winograd_stride(out * in) + k * in;
      for (std::int64_t g = 0; g < groups; ++g) {
        // The lines that this block's results go to, fetched while products are made: 2 tiles' pixel at each
        // position.
        for (std::int64_t t = g * kRows + p % 4 * 2, i = 0; i < 2 && t + i < count; ++i) {
          __builtin_prefetch(y + output[t + i] + beside[p / 4] + k, 1, 2);
        }
        product<Element, false>(tiles + p * tiles_stride + g * kRows * row, row, Math::kPack, right,
                                in / Math::kPack, products + p * kProductsStride + g * kRows * kLanes,
                                kLanes);
      }
    }
    for (std::int64_t t = 0; t < count; ++t) {
      const float* from = products + t * kLanes;
      Vector result[2][4];
      for (int half = 0; half < 2; ++half) {
        Vector top[4], bottom[4];
        for (int j = 0; j < 4; ++j) {
          Vector m[4];
          for (int i = 0; i < 4; ++i)
            m[i] = _mm512_loadu_ps(from + (4 * i + j) * kProductsStride + 16 * half);
          top[j] = plus(plus(m[0], m[1]), m[2]);
          bottom[j] = minus(minus(m[1], m[2]), m[3]);
        }
        result[half][0] = plus(plus(top[0], top[1]), top[2]);
        result[half][1] = minus(minus(top[1], top[2]), top[3]);
        result[half][2] = plus(plus(bottom[0], bottom[1]), bottom[2]);
        result[half][3] = minus(minus(bottom[1], bottom[2]), bottom[3]);
      }
      for (std::int64_t i = 0; i < 4; ++i) {
        Math::store(y + output[t] + beside[i] + k, result[0][i], result[1][i]);
      }
    }
  }
}

// Blocks for sums over tiles lie as [position][channels / group][tiles / kPack][group][kPack], so that a
// product reads them in order. `values(tile, channel, v)` gives the 16 positions of 16 channels.
template <class Element, std::int64_t kGroup, class Values>
inline void lay_out(std::int64_t channels, ChannelRange range, std::int64_t tiles, const Values& values,
                    Element* to) {
  constexpr std::int64_t kPack = Arithmetic<Element>::kPack;
  constexpr std::int64_t kStep = kGroup * kPack;  // from tile (or pair) to tile
  for (std::int64_t c = range.begin; c < range.end; c += 16) {
    for (std::int64_t t = 0; t < kWinogradSumTiles; t += kPack) {
      Vector v[kPack][16];
      for (std::int64_t i = 0; i < kPack; ++i) {
        if (t + i < tiles) {
          values(t + i, c, v[i]);
        } else {
          for (auto& one : v[i]) one = _mm512_setzero_ps();
        }
      }
      for (std::int64_t p = 0; p < kPositions; ++p) {
        __m512i line;
        if constexpr (kPack == 2) {
          line = interleaved(v[0][p], v[1][p]);
        } else {
          line = _mm512_castps_si512(v[0][p]);
        }
        Element* block = to + p * winograd_stride(kWinogradSumTiles * channels) +
                         c / kGroup * kGroup * kWinogradSumTiles + t / kPack * kStep;
        if constexpr (kGroup == 8) {
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(block), _mm512_castsi512_si256(line));
          _mm256_storeu_si256(reinterpret_cast<__m256i*>(block + kGroup * kWinogradSumTiles),
                              _mm512_extracti64x4_epi64(line, 1));
        } else {
          _mm512_storeu_si512(block + c % kGroup * kPack, line);
        }
      }
    }
  }
}

template <class Element>
void transform_input(const Element* x, WinogradImages input, ChannelRange range, std::int64_t first,
                     std::int64_t last, Element* x_tiles) {
  Pixels<Element> pixels[kWinogradSumTiles];
  for (std::int64_t t = first; t < last; ++t) find_pixels(x, input, tile_at(input, t), pixels[t - first]);
  lay_out<Element, kRows>(
      input.channels, range, last - first,
      [&](std::int64_t t, std::int64_t c, Vector v[16]) { input_tile(pixels[t], c, v); }, x_tiles);
}

template <class Element>
void transform_gradient(const Element* dy, WinogradImages output, ChannelRange range, std::int64_t first,
                        std::int64_t last, Element* dy_tiles) {
  using Math = Arithmetic<Element>;
  const Element* pixels[kWinogradSumTiles];
  for (std::int64_t t = first; t < last; ++t) {
    pixels[t - first] = dy + tile_at(output, t).pixel * output.channels;
  }
  const std::int64_t line = output.width * output.channels;
  lay_out<Element, kLanes>(
      output.channels, range, last - first,
      [&](std::int64_t t, std::int64_t c, Vector v[16]) {
        const Element* from = pixels[t] + c;
        const Vector d[2][2] = {{Math::load(from), Math::load(from + output.channels)},
                                {Math::load(from + line), Math::load(from + line + output.channels)}};
        for (int j = 0; j < 2; ++j) {
          v[j] = d[0][j];
          v[4 + j] = plus(d[0][j], d[1][j]);
          v[8 + j] = minus(d[0][j], d[1][j]);
          v[12 + j] = minus(_mm512_setzero_ps(), d[1][j]);
        }
        for (int i = 0; i < 16; i += 4) {
          const Vector a = v[i], b = v[i + 1];
          v[i + 1] = plus(a, b);
          v[i + 2] = minus(a, b);
          v[i + 3] = minus(_mm512_setzero_ps(), b);
        }
      },
      dy_tiles);
}

template <class Element>
void add_products(const Element* x_tiles, const Element* dy_tiles, std::int64_t in, std::int64_t out,
                  std::int64_t position, float* sums) {
  constexpr std::int64_t kPack = Arithmetic<Element>::kPack;
  const Element* left = x_tiles + position * winograd_stride(kWinogradSumTiles * in);
  const Element* right = dy_tiles + position * winograd_stride(kWinogradSumTiles * out);
  for (std::int64_t k = 0; k < out; k += kLanes) {
    for (std::int64_t c = 0; c < in; c += kRows) {
      product<Element, true>(left + c * kWinogradSumTiles, kPack, kRows * kPack,
                             right + k * kWinogradSumTiles, kWinogradSumTiles / kPack,
                             sums + position * winograd_stride(in * out) + k * in + c * kLanes, kLanes);
    }
  }
}

// to[c][r] = from[r][c] of 16 x 16 floats; strides count floats.
inline void transpose(const float* from, std::int64_t from_row, float* to, std::int64_t to_row) {
  Vector a[16], b[16];
  for (int r = 0; r < 16; ++r) a[r] = _mm512_loadu_ps(from + r * from_row);
  // Pairs of values, then of pairs, within quarters of 128 bits; then the quarters change places.
  for (int r = 0; r < 16; r += 2) {
    b[r] = _mm512_unpacklo_ps(a[r], a[r + 1]);
    b[r + 1] = _mm512_unpackhi_ps(a[r], a[r + 1]);
  }
  const auto pairs = [](Vector x) { return _mm512_castps_pd(x); };
  for (int r = 0; r < 16; r += 4) {
    a[r] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs(b[r]), pairs(b[r + 2])));
    a[r + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs(b[r]), pairs(b[r + 2])));
    a[r + 2] = _mm512_castpd_ps(_mm512_unpacklo_pd(pairs(b[r + 1]), pairs(b[r + 3])));
    a[r + 3] = _mm512_castpd_ps(_mm512_unpackhi_pd(pairs(b[r + 1]), pairs(b[r + 3])));
  }
  for (int r = 0; r < 4; ++r) {
    const Vector low_even = _mm512_shuffle_f32x4(a[r], a[r + 4], 0x88);
    const Vector low_odd = _mm512_shuffle_f32x4(a[r], a[r + 4], 0xDD);
    const Vector high_even = _mm512_shuffle_f32x4(a[r + 8], a[r + 12], 0x88);
    const Vector high_odd = _mm512_shuffle_f32x4(a[r + 8], a[r + 12], 0xDD);
    _mm512_storeu_ps(to + r * to_row, _mm512_shuffle_f32x4(low_even, high_even, 0x88));
    _mm512_storeu_ps(to + (r + 4) * to_row, _mm512_shuffle_f32x4(low_odd, high_odd, 0x88));
    _mm512_storeu_ps(to + (r + 8) * to_row, _mm512_shuffle_f32x4(low_even, high_even, 0xDD));
    _mm512_storeu_ps(to + (r + 12) * to_row, _mm512_shuffle_f32x4(low_odd, high_odd, 0xDD));
  }
}

constexpr std::int64_t kTaps = 9;

// G w G^T of 16 filters: `from` holds tap after tap, `step` floats apart.
inline void weight_tile(const float* from, std::int64_t step, bool turned, Vector u[16]) {
  const Vector half = _mm512_set1_ps(0.5F);
  Vector rows[4][3];
  for (int j = 0; j < 3; ++j) {
    Vector w[3];
    for (int i = 0; i < 3; ++i) w[i] = _mm512_loadu_ps(from + step * (turned ? 8 - (3 * i + j) : 3 * i + j));
    const Vector ends = plus(w[0], w[2]);
    rows[0][j] = w[0];
    rows[1][j] = _mm512_mul_ps(plus(ends, w[1]), half);
    rows[2][j] = _mm512_mul_ps(minus(ends, w[1]), half);
    rows[3][j] = w[2];
  }
  for (int i = 0; i < 4; ++i) {
    const Vector ends = plus(rows[i][0], rows[i][2]);
    u[4 * i] = rows[i][0];
    u[4 * i + 1] = _mm512_mul_ps(plus(ends, rows[i][1]), half);
    u[4 * i + 2] = _mm512_mul_ps(minus(ends, rows[i][1]), half);
    u[4 * i + 3] = rows[i][2];
  }
}

// Laid out as [position][to / 32][from / kPack][32][kPack], where the convolution to be done maps `from` to
// `to` channels.
template <class Element>
void transform_weights(const float* weights, std::int64_t out, std::int64_t in, bool backward,
                       ChannelRange range, Element* transformed) {
  constexpr std::int64_t kPack = Arithmetic<Element>::kPack;
  const std::int64_t from = backward ? out : in;
  const std::int64_t stride = winograd_stride(out * in);
  alignas(64) float by_out[16 * kTaps * 16];  // [in][tap][out]
  alignas(64) float by_in[16 * kTaps * 16];   // [tap][out][in]
  for (std::int64_t t = range.begin; t < range.end; t += 16) {
    for (std::int64_t f = 0; f < from; f += 16) {
      const float* block = backward ? weights + (f * in + t) * kTaps : weights + (t * in + f) * kTaps;
      for (std::int64_t i = 0; i < kTaps; ++i) transpose(block + 16 * i, in * kTaps, by_out + 256 * i, 16);
      if (backward) {
        for (std::int64_t i = 0; i < kTaps; ++i) transpose(by_out + 16 * i, 16 * kTaps, by_in + 256 * i, 16);
      }
      for (std::int64_t g = 0; g < 16; g += kPack) {
        Vector u[kPack][16];
        for (std::int64_t i = 0; i < kPack; ++i) {
          if (backward) {
            weight_tile(by_in + (g + i) * 16, 256, true, u[i]);
          } else {
            weight_tile(by_out + (g + i) * 16 * kTaps, 16, false, u[i]);
          }
        }
        Element* line = transformed + (t - t % kLanes) * from + (f + g) * kLanes + t % kLanes * kPack;
        for (std::int64_t p = 0; p < kPositions; ++p) {
          if constexpr (kPack == 2) {
            _mm512_storeu_si512(line + p * stride, interleaved(u[0][p], u[1][p]));
          } else {
            _mm512_storeu_ps(line + p * stride, u[0][p]);
          }
        }
      }
    }
  }
}

// G^T s G of 16 output channels at a time.
void finish_gradient(const float* sums, std::int64_t in, std::int64_t out, ChannelRange range,
                     float* gradient) {
  const Vector half = _mm512_set1_ps(0.5F);
  const std::int64_t stride = winograd_stride(in * out);
  alignas(64) float taps[16 * kTaps * 16];  // [in][tap][out]
  for (std::int64_t k = range.begin; k < range.end; k += 16) {
    const float* from = sums + (k - k % kLanes) * in + k % kLanes;
    for (std::int64_t c = 0; c < in; ++c) {
      Vector rows[3][4];
      for (int j = 0; j < 4; ++j) {
        Vector s[4];
        for (int i = 0; i < 4; ++i) s[i] = _mm512_loadu_ps(from + (4 * i + j) * stride + c * kLanes);
        const Vector mean = _mm512_mul_ps(plus(s[1], s[2]), half);
        rows[0][j] = plus(s[0], mean);
        rows[1][j] = _mm512_mul_ps(minus(s[1], s[2]), half);
        rows[2][j] = plus(s[3], mean);
      }
      float* to = taps + c % 16 * kTaps * 16;
      for (int i = 0; i < 3; ++i) {
        const Vector mean = _mm512_mul_ps(plus(rows[i][1], rows[i][2]), half);
        _mm512_store_ps(to + 48 * i, plus(rows[i][0], mean));
        _mm512_store_ps(to + 48 * i + 16, _mm512_mul_ps(minus(rows[i][1], rows[i][2]), half));
        _mm512_store_ps(to + 48 * i + 32, plus(rows[i][3], mean));
      }
      if (c % 16 == 15) {
        for (std::int64_t i = 0; i < kTaps; ++i) {
          transpose(taps + 256 * i, 16, gradient + (k * in + c - 15) * kTaps + 16 * i, in * kTaps);
        }
      }
    }
  }
}

template <class Element>
constexpr WinogradKernels<Element> kTable{transform_weights<Element>, forward<Element>,
                                          transform_input<Element>,   transform_gradient<Element>,
                                          add_products<Element>,      finish_gradient};

}  // namespace

const WinogradKernels<float>& winograd_f32() { return kTable<float>; }
const WinogradKernels<Bf16>& winograd_bf16() { return kTable<Bf16>; }

}  // namespace muster::workloads::avx512
