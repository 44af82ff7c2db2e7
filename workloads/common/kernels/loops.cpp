// Compiled once for each instruction set, with MUSTER_KERNELS naming it. See kernels.hpp for what may be
// included here.
#include "workloads/common/kernels/kernels.hpp"
#include "workloads/common/kernels/levels.hpp"

namespace muster::workloads::MUSTER_KERNELS {
namespace {

template <class Element>
struct RealOf {
  using Type = Element;
};
template <>
struct RealOf<Bf16> {
  using Type = float;
};

inline float load(float value) { return value; }
inline double load(double value) { return value; }
inline float load(Bf16 value) {
  return __builtin_bit_cast(float, static_cast<std::uint32_t>(value.bits) << 16);
}

inline void store(float& out, float value) { out = value; }
inline void store(double& out, double value) { out = value; }
// Round to nearest, ties to even. A NaN whose payload is all in the lower half must not become an infinity.
inline void store(Bf16& out, float value) {
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16;
  const std::uint32_t quiet = (bits >> 16) | 0x40;
  out.bits = static_cast<std::uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? quiet : rounded);
}

template <class Real>
inline Real larger(Real a, Real b) {
  return a > b ? a : b;
}

template <class Element, class Real = typename RealOf<Element>::Type>
void statistics(const Element* __restrict x, std::int64_t rows, std::int64_t channels, Real* __restrict sums,
                Real* __restrict squares) {
  const Element* __restrict origin = x;
  for (std::int64_t c = 0; c < channels; ++c) sums[c] = squares[c] = 0;
  std::int64_t r = 0;
  for (; r + 4 <= rows; r += 4) {
    const Element* __restrict row = x + r * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const Real from = load(origin[c]);
      const Real d0 = load(row[c]) - from;
      const Real d1 = load(row[c + channels]) - from;
      const Real d2 = load(row[c + 2 * channels]) - from;
      const Real d3 = load(row[c + 3 * channels]) - from;
      sums[c] += (d0 + d1) + (d2 + d3);
      squares[c] += (d0 * d0 + d1 * d1) + (d2 * d2 + d3 * d3);
    }
  }
  for (; r < rows; ++r) {
    for (std::int64_t c = 0; c < channels; ++c) {
      const Real d = load(x[r * channels + c]) - load(origin[c]);
      sums[c] += d;
      squares[c] += d * d;
    }
  }
}

template <class Element, class Real = typename RealOf<Element>::Type>
void apply(const Element* __restrict x, const Element* __restrict skip, std::int64_t rows,
           std::int64_t channels, ChannelMap<Real> map, Real floor, Element* __restrict y) {
  const Real* __restrict scale = map.scale;
  const Real* __restrict shift = map.shift;
  for (std::int64_t r = 0; r < rows; ++r, x += channels, y += channels) {
    if (skip) {
      for (std::int64_t c = 0; c < channels; ++c)
        store(y[c], larger(load(x[c]) * scale[c] + shift[c] + load(skip[c]), floor));
      skip += channels;
    } else {
      for (std::int64_t c = 0; c < channels; ++c)
        store(y[c], larger(load(x[c]) * scale[c] + shift[c], floor));
    }
  }
}

// Calls body(x offset of the block's first row, row stride, index of the pooled row) for each 2x2 block.
template <class Body>
inline void for_blocks(std::int64_t images, std::int64_t height, std::int64_t width, const Body& body) {
  std::int64_t pooled = 0;
  for (std::int64_t line = 0; line < images * height; line += 2) {
    for (std::int64_t column = 0; column < width; column += 2, ++pooled) body(line * width + column, pooled);
  }
}

template <class Element, class Real = typename RealOf<Element>::Type>
void apply_pool(const Element* __restrict x, std::int64_t images, std::int64_t height, std::int64_t width,
                std::int64_t channels, ChannelMap<Real> map, Element* __restrict y) {
  const Real* __restrict scale = map.scale;
  const Real* __restrict shift = map.shift;
  for_blocks(images, height, width, [&](std::int64_t row, std::int64_t pooled) {
    const Element* __restrict a = x + row * channels;
    const Element* __restrict b = a + width * channels;
    Element* __restrict out = y + pooled * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const Real z0 = load(a[c]) * scale[c] + shift[c];
      const Real z1 = load(a[c + channels]) * scale[c] + shift[c];
      const Real z2 = load(b[c]) * scale[c] + shift[c];
      const Real z3 = load(b[c + channels]) * scale[c] + shift[c];
      store(out[c], larger(larger(larger(z0, z1), larger(z2, z3)), Real(0)));
    }
  });
}

template <class Element, class Real = typename RealOf<Element>::Type>
inline Real passed(const Element* x, const Element* y, const Element* dy, std::int64_t at, Real scale,
                   Real shift, Real floor) {
  const Real gradient = load(dy[at]);
  const bool open = y ? load(y[at]) > 0 : load(x[at]) * scale + shift > floor;
  return open ? gradient : Real(0);
}

template <class Element, class Real = typename RealOf<Element>::Type>
void backward_sums(const Element* __restrict x, const Element* __restrict y, const Element* __restrict dy,
                   std::int64_t rows, std::int64_t channels, ChannelMap<Real> map, Real floor,
                   const Real* __restrict mean, Real* __restrict sums, Real* __restrict products) {
  const Real* __restrict scale = map.scale;
  const Real* __restrict shift = map.shift;
  for (std::int64_t c = 0; c < channels; ++c) sums[c] = products[c] = 0;
  const auto pass = [&](const Element* __restrict mask) {
    std::int64_t r = 0;
    for (; r + 2 <= rows; r += 2) {
      const std::int64_t at = r * channels;
      for (std::int64_t c = 0; c < channels; ++c) {
        const Real g0 = passed(x, mask, dy, at + c, scale[c], shift[c], floor);
        const Real g1 = passed(x, mask, dy, at + channels + c, scale[c], shift[c], floor);
        sums[c] += g0 + g1;
        products[c] += g0 * (load(x[at + c]) - mean[c]) + g1 * (load(x[at + channels + c]) - mean[c]);
      }
    }
    for (; r < rows; ++r) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const Real g = passed(x, mask, dy, r * channels + c, scale[c], shift[c], floor);
        sums[c] += g;
        products[c] += g * (load(x[r * channels + c]) - mean[c]);
      }
    }
  };
  y ? pass(y) : pass(nullptr);
}

template <class Element, class Real = typename RealOf<Element>::Type>
void backward_apply(const Element* __restrict x, const Element* __restrict y, const Element* __restrict dy,
                    std::int64_t rows, std::int64_t channels, ChannelMap<Real> map, Real floor,
                    const Real* __restrict a, const Real* __restrict b, const Real* __restrict c0,
                    Element* __restrict dx, Element* __restrict skip_gradient) {
  const Real* __restrict scale = map.scale;
  const Real* __restrict shift = map.shift;
  for (std::int64_t r = 0; r < rows; ++r) {
    const std::int64_t at = r * channels;
    if (y) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const Real g = load(y[at + c]) > 0 ? load(dy[at + c]) : Real(0);
        store(dx[at + c], g * a[c] + load(x[at + c]) * b[c] + c0[c]);
        if (skip_gradient) store(skip_gradient[at + c], g);
      }
    } else {
      for (std::int64_t c = 0; c < channels; ++c) {
        const Real g = load(x[at + c]) * scale[c] + shift[c] > floor ? load(dy[at + c]) : Real(0);
        store(dx[at + c], g * a[c] + load(x[at + c]) * b[c] + c0[c]);
      }
    }
  }
}

// A 2x2 block of one channel: its values, and the gradient's share of each (all to the first largest, if
// above 0).
template <class Real>
struct Block {
  Real x0, x1, x2, x3;
  Real g0, g1, g2, g3;
};

template <class Element, class Real = typename RealOf<Element>::Type>
inline Block<Real> block_of(const Element* a, const Element* b, std::int64_t next, Real scale, Real shift,
                            Real gradient) {
  Block<Real> k;
  k.x0 = load(a[0]);
  k.x1 = load(a[next]);
  k.x2 = load(b[0]);
  k.x3 = load(b[next]);
  const Real z0 = k.x0 * scale + shift;
  const Real z1 = k.x1 * scale + shift;
  const Real z2 = k.x2 * scale + shift;
  const Real z3 = k.x3 * scale + shift;
  const Real top = larger(larger(z0, z1), larger(z2, z3));
  Real left = top > 0 ? gradient : Real(0);
  k.g0 = z0 == top ? left : Real(0);
  left = z0 == top ? Real(0) : left;
  k.g1 = z1 == top ? left : Real(0);
  left = z1 == top ? Real(0) : left;
  k.g2 = z2 == top ? left : Real(0);
  k.g3 = z2 == top ? Real(0) : left;
  return k;
}

template <class Element, class Real = typename RealOf<Element>::Type>
void backward_pool_sums(const Element* __restrict x, const Element* __restrict dy, std::int64_t images,
                        std::int64_t height, std::int64_t width, std::int64_t channels, ChannelMap<Real> map,
                        const Real* __restrict mean, Real* __restrict sums, Real* __restrict products) {
  const Real* __restrict scale = map.scale;
  const Real* __restrict shift = map.shift;
  for (std::int64_t c = 0; c < channels; ++c) sums[c] = products[c] = 0;
  for_blocks(images, height, width, [&](std::int64_t row, std::int64_t pooled) {
    const Element* __restrict a = x + row * channels;
    const Element* __restrict b = a + width * channels;
    const Element* __restrict g = dy + pooled * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto k = block_of(a + c, b + c, channels, scale[c], shift[c], load(g[c]));
      sums[c] += (k.g0 + k.g1) + (k.g2 + k.g3);
      products[c] += (k.g0 * (k.x0 - mean[c]) + k.g1 * (k.x1 - mean[c])) +
                     (k.g2 * (k.x2 - mean[c]) + k.g3 * (k.x3 - mean[c]));
    }
  });
}

template <class Element, class Real = typename RealOf<Element>::Type>
void backward_pool_apply(const Element* __restrict x, const Element* __restrict dy, std::int64_t images,
                         std::int64_t height, std::int64_t width, std::int64_t channels, ChannelMap<Real> map,
                         const Real* __restrict a0, const Real* __restrict b0, const Real* __restrict c0,
                         Element* __restrict dx) {
  const Real* __restrict scale = map.scale;
  const Real* __restrict shift = map.shift;
  for_blocks(images, height, width, [&](std::int64_t row, std::int64_t pooled) {
    const Element* __restrict a = x + row * channels;
    const Element* __restrict b = a + width * channels;
    const Element* __restrict g = dy + pooled * channels;
    Element* __restrict out_a = dx + row * channels;
    Element* __restrict out_b = out_a + width * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto k = block_of(a + c, b + c, channels, scale[c], shift[c], load(g[c]));
      store(out_a[c], k.g0 * a0[c] + k.x0 * b0[c] + c0[c]);
      store(out_a[c + channels], k.g1 * a0[c] + k.x1 * b0[c] + c0[c]);
      store(out_b[c], k.g2 * a0[c] + k.x2 * b0[c] + c0[c]);
      store(out_b[c + channels], k.g3 * a0[c] + k.x3 * b0[c] + c0[c]);
    }
  });
}

template <class Element>
void max_pool(const Element* __restrict x, std::int64_t images, std::int64_t height, std::int64_t width,
              std::int64_t channels, Element* __restrict y, std::uint8_t* __restrict which) {
  for (std::int64_t image = 0; image < images; ++image, x += height * width * channels) {
    for (std::int64_t line = 0; line + 2 <= height; line += 2) {
      for (std::int64_t column = 0; column + 2 <= width; column += 2, y += channels, which += channels) {
        const Element* __restrict a = x + (line * width + column) * channels;
        const Element* __restrict b = a + width * channels;
        for (std::int64_t c = 0; c < channels; ++c) {
          auto best = load(a[c]);
          std::uint8_t place = 0;
          const auto look = [&](auto value, std::uint8_t at) {
            const bool larger = value > best || value != value;
            best = larger ? value : best;
            place = larger ? at : place;
          };
          look(load(a[c + channels]), 1);
          look(load(b[c]), 2);
          look(load(b[c + channels]), 3);
          store(y[c], best);
          which[c] = place;
        }
      }
    }
  }
}

// Arithmetic, since GCC 12 makes no vectors of structs that are chosen between.
inline float kept_if(float value, bool keep) { return keep ? value : 0; }
inline double kept_if(double value, bool keep) { return keep ? value : 0; }
inline Bf16 kept_if(Bf16 value, bool keep) {
  return {static_cast<std::uint16_t>(value.bits & static_cast<std::uint16_t>(-static_cast<int>(keep)))};
}

template <class Element>
void max_pool_backward(const Element* __restrict dy, const std::uint8_t* __restrict which,
                       std::int64_t images, std::int64_t height, std::int64_t width, std::int64_t channels,
                       Element* __restrict dx) {
  const std::int64_t row = width * channels, odd = (width % 2) * channels;
  for (std::int64_t image = 0; image < images; ++image) {
    for (std::int64_t line = 0; line + 2 <= height; line += 2, dx += 2 * row) {
      for (std::int64_t column = 0; column + 2 <= width; column += 2, dy += channels, which += channels) {
        Element* __restrict a = dx + column * channels;
        Element* __restrict b = a + row;
        for (std::int64_t c = 0; c < channels; ++c) {
          a[c] = kept_if(dy[c], which[c] == 0);
          a[c + channels] = kept_if(dy[c], which[c] == 1);
          b[c] = kept_if(dy[c], which[c] == 2);
          b[c + channels] = kept_if(dy[c], which[c] == 3);
        }
      }
      for (std::int64_t c = row - odd; c < row; ++c) dx[c] = dx[c + row] = Element{};
    }
    if (height % 2 == 0) continue;
    for (std::int64_t c = 0; c < row; ++c) dx[c] = Element{};
    dx += row;
  }
}

// P(normal variable <= x): (1 + erf(x / sqrt 2)) / 2, erf as a ratio of polynomials on [-4, 4] with the
// coefficients that Eigen uses (generic_fast_erf_float).
inline float normal_cdf(float x) {
  float z = x * 0.70710678F;
  z = z > 4 ? 4 : z;
  z = z < -4 ? -4 : z;
  const float s = z * z;
  float p = -2.72614225801306e-10F;
  p = p * s + 2.77068142495902e-08F;
  p = p * s - 2.10102402082508e-06F;
  p = p * s - 5.69250639462346e-05F;
  p = p * s - 7.34990630326855e-04F;
  p = p * s - 2.95459980854025e-03F;
  p = p * s - 1.60960333262415e-02F;
  float q = -1.45660718464996e-05F;
  q = q * s - 2.13374055278905e-04F;
  q = q * s - 1.68282697438203e-03F;
  q = q * s - 7.37332916720468e-03F;
  q = q * s - 1.42647390514189e-02F;
  return 0.5F + 0.5F * (z * p / q);
}

// exp(-x^2 / 2) / sqrt(2 pi), by a power of two and Taylor's series of what is left.
inline float normal_density(float x) {
  constexpr float kRounds = 12582912;  // 1.5 * 2^23: sums with it have no fraction.
  const float asked = x * x * -0.72134752F;
  const float power = asked > -126 ? asked : -126;
  const float whole = (power + kRounds) - kRounds;
  const float f = power - whole;
  float e = 1.5403530e-4F;
  e = e * f + 1.3333558e-3F;
  e = e * f + 9.6181291e-3F;
  e = e * f + 5.5504109e-2F;
  e = e * f + 0.24022651F;
  e = e * f + 0.69314718F;
  e = e * f + 1;
  const auto exponent = (static_cast<std::int32_t>(whole) + 127) << 23;
  // A NaN is in the other summand, too.
  return asked > -126 ? e * __builtin_bit_cast(float, exponent) * 0.39894228F : 0;
}

void gelu(const Bf16* __restrict x, std::int64_t count, Bf16* __restrict y) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = load(x[i]);
    store(y[i], value * normal_cdf(value));
  }
}

void gelu_backward(const Bf16* __restrict x, const Bf16* __restrict dy, std::int64_t count,
                   Bf16* __restrict dx) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float value = load(x[i]);
    store(dx[i], load(dy[i]) * (normal_cdf(value) + value * normal_density(value)));
  }
}

template <class Real>
void sgd(Real* __restrict weight, const Real* __restrict gradient, Real* __restrict momentum,
         std::int64_t count, SgdStep<Real> step) {
  if (step.momentum == 0) {
    for (std::int64_t i = 0; i < count; ++i) {
      weight[i] -= step.rate * (gradient[i] + step.weight_decay * weight[i]);
    }
    return;
  }
  const Real kept = step.first ? Real(0) : step.momentum;
  for (std::int64_t i = 0; i < count; ++i) {
    const Real g = gradient[i] + step.weight_decay * weight[i];
    const Real m = kept * momentum[i] + g;
    momentum[i] = m;
    weight[i] -= step.rate * (step.nesterov ? g + step.momentum * m : m);
  }
}

template <class Element, class Real = typename RealOf<Element>::Type>
constexpr BatchNormKernels<Element, Real> norm() {
  return {statistics<Element>,         apply<Element>,          apply_pool<Element>,
          backward_sums<Element>,      backward_apply<Element>, backward_pool_sums<Element>,
          backward_pool_apply<Element>};
}

template <class Element>
constexpr MaxPoolKernels<Element> pool() {
  return {max_pool<Element>, max_pool_backward<Element>};
}

#define MUSTER_TEXT_OF(name) #name
#define MUSTER_TEXT(name) MUSTER_TEXT_OF(name)
constexpr Kernels kTable{MUSTER_TEXT(MUSTER_KERNELS),
                         norm<float>(),
                         norm<double>(),
                         norm<Bf16>(),
                         pool<float>(),
                         pool<double>(),
                         pool<Bf16>(),
                         {gelu, gelu_backward},
                         sgd<float>,
                         sgd<double>};

}  // namespace

const Kernels& table() { return kTable; }

}  // namespace muster::workloads::MUSTER_KERNELS
