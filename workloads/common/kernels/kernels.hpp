#pragma once
/// Loops over raw memory, compiled once for each instruction set and chosen when the program runs.
/// No torch and no standard containers here: an inline function of theirs, compiled for a newer CPU, could be
/// linked into code that an older one runs.
///
/// Layout of images is channels-last: row r = (image, height, width), `channels` values each. Reductions add
/// down a column of rows, so their order depends on neither vector width nor threads; no products are
/// contracted: the same bits on every instruction set.

#include <cstdint>

namespace muster::workloads {

/// bfloat16: the upper half of a float.
struct Bf16 {
  std::uint16_t bits;
};

/// An affine map a channel, and what follows it.
template <class Real>
struct ChannelMap {
  const Real* scale;
  const Real* shift;
};

/// What batch normalisation does to a block of rows. `Element` is the type in memory, `Real` (float for Bf16)
/// the arithmetic's.
template <class Element, class Real>
struct BatchNormKernels {
  /// Sums of (x - x[0]) and of its square over the rows, a channel each: `sums` and `squares` are
  /// overwritten.
  void (*statistics)(const Element* x, std::int64_t rows, std::int64_t channels, Real* sums, Real* squares);
  /// y = max(floor, x * scale + shift + skip). `skip` may be null; `floor` is 0 for a ReLU and -inf without.
  void (*apply)(const Element* x, const Element* skip, std::int64_t rows, std::int64_t channels,
                ChannelMap<Real> map, Real floor, Element* y);
  /// The same without skip, then the maximum of each 2x2 block: `images` of height x width (even), to half of
  /// each.
  void (*apply_pool)(const Element* x, std::int64_t images, std::int64_t height, std::int64_t width,
                     std::int64_t channels, ChannelMap<Real> map, Element* y);
  /// Sums of g and of g * (x - mean), where g is dy where `y` > 0 (`y` null: where x * scale + shift >
  /// floor), else 0.
  void (*backward_sums)(const Element* x, const Element* y, const Element* dy, std::int64_t rows,
                        std::int64_t channels, ChannelMap<Real> map, Real floor, const Real* mean, Real* sums,
                        Real* products);
  /// dx = g * a + x * b + c, a channel each; `skip_gradient`, where not null, receives g.
  void (*backward_apply)(const Element* x, const Element* y, const Element* dy, std::int64_t rows,
                         std::int64_t channels, ChannelMap<Real> map, Real floor, const Real* a,
                         const Real* b, const Real* c, Element* dx, Element* skip_gradient);
  /// The two through a ReLU and the 2x2 maximum; dy has the pooled size.
  void (*backward_pool_sums)(const Element* x, const Element* dy, std::int64_t images, std::int64_t height,
                             std::int64_t width, std::int64_t channels, ChannelMap<Real> map,
                             const Real* mean, Real* sums, Real* products);
  void (*backward_pool_apply)(const Element* x, const Element* dy, std::int64_t images, std::int64_t height,
                              std::int64_t width, std::int64_t channels, ChannelMap<Real> map, const Real* a,
                              const Real* b, const Real* c, Element* dx);
};

/// The maximum of each 2x2 block of `images` of height x width; what is left of an odd one goes nowhere.
template <class Element>
struct MaxPoolKernels {
  /// `which` tells the first largest of each block: 0 to 3, by rows; a NaN counts as larger.
  void (*forward)(const Element* x, std::int64_t images, std::int64_t height, std::int64_t width,
                  std::int64_t channels, Element* y, std::uint8_t* which);
  /// All of dx is written.
  void (*backward)(const Element* dy, const std::uint8_t* which, std::int64_t images, std::int64_t height,
                   std::int64_t width, std::int64_t channels, Element* dx);
};

/// x * P(normal variable <= x), the exact GELU (Hendrycks and Gimpel 2016): to within the rounding of `Bf16`
/// or 2e-6.
struct GeluKernels {
  void (*forward)(const Bf16* x, std::int64_t count, Bf16* y);
  void (*backward)(const Bf16* x, const Bf16* dy, std::int64_t count, Bf16* dx);
};

/// One step of stochastic gradient descent over `count` elements (see Sgd).
template <class Real>
struct SgdStep {
  Real rate, momentum, weight_decay;
  bool nesterov;
  bool first;  ///< the momentum buffer holds nothing yet
};

struct Kernels {
  const char* name;
  BatchNormKernels<float, float> norm_f32;
  BatchNormKernels<double, double> norm_f64;
  BatchNormKernels<Bf16, float> norm_bf16;
  MaxPoolKernels<float> pool_f32;
  MaxPoolKernels<double> pool_f64;
  MaxPoolKernels<Bf16> pool_bf16;
  GeluKernels gelu_bf16;
  void (*sgd_f32)(float* weight, const float* gradient, float* momentum, std::int64_t count,
                  SgdStep<float> step);
  void (*sgd_f64)(double* weight, const double* gradient, double* momentum, std::int64_t count,
                  SgdStep<double> step);
};

/// The widest set that this CPU has; `MUSTER_KERNELS=base|avx2|avx512` narrows it, for tests.
const Kernels& kernels();

}  // namespace muster::workloads
