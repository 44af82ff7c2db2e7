#include "workloads/common/layers/cuda/norm.cuh"

namespace muster::workloads::device {
namespace {

/// Of one layer's backward pass: its memory, and from where on its ReLU is open.
template <class Element>
struct Backward {
  const Element* __restrict__ x;
  const Element* __restrict__ y;  ///< where there was a skip
  const Element* __restrict__ dy;
  const RealOf<Element>* __restrict__ map;
  RealOf<Element> floor;
  Blocks blocks;
};

/// body(offset in memory, x, g) of each vector of a thread's: g is the gradient that passes what follows the
/// normalisation. Through the maximum of a 2x2 block all of it goes to the first largest, if above 0.
template <AfterNorm kAfter, int kWidth, class Element, class Body>
__device__ void for_gradients(const Backward<Element>& pass, const Place& place, const Tiling& t,
                              const Body& body) {
  using Real = RealOf<Element>;
  const std::int64_t channel = place.first_channel(t, kWidth);
  const ChannelLines<Real, kWidth> line(pass.map, t.channels, channel);
#pragma unroll 2
  for (std::int64_t item = place.begin + place.lane; item < place.end; item += t.lanes) {
    Real gradient[kWidth];
    load(pass.dy + item * t.channels + channel, gradient);
    if constexpr (kAfter == AfterNorm::relu_pool) {
      const std::int64_t corner = pass.blocks.first_row(item) * t.channels + channel;
      Real value[4][kWidth], top[kWidth] = {};
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        load(pass.x + corner + ((i / 2) * pass.blocks.width + i % 2) * t.channels, value[i]);
#pragma unroll
        for (int k = 0; k < kWidth; ++k) top[k] = larger(line(k, value[i][k]), top[k]);
      }
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        Real share[kWidth];
#pragma unroll
        for (int k = 0; k < kWidth; ++k) {
          const bool takes = top[k] > 0 && line(k, value[i][k]) == top[k];
          share[k] = takes ? gradient[k] : Real(0);
          gradient[k] = takes ? Real(0) : gradient[k];
        }
        body(corner + ((i / 2) * pass.blocks.width + i % 2) * t.channels, value[i], share);
      }
    } else {
      const std::int64_t at = item * t.channels + channel;
      Real value[kWidth], after[kWidth] = {};
      load(pass.x + at, value);
      if (pass.y != nullptr) load(pass.y + at, after);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) {
        const Real normalised = line(k, value[k]);
        if (kAfter == AfterNorm::gelu) {
          gradient[k] *= gelu_slope(normalised);
        } else {
          const bool open = pass.y != nullptr ? after[k] > 0 : normalised > pass.floor;
          gradient[k] = open ? gradient[k] : Real(0);
        }
      }
      body(at, value, gradient);
    }
  }
}

/// Sums of g, and of g times x less its mean.
template <class Element, int kWidth, AfterNorm kAfter>
__global__ void sum_gradients(Backward<Element> pass, Tiling t, const double* __restrict__ moments,
                              RealOf<Element>* __restrict__ partials) {
  using Real = RealOf<Element>;
  const Place place(t);
  Real sums[kWidth] = {}, products[kWidth] = {};
  if (place.has_work(t)) {
    Real mean[kWidth];
    for (int k = 0; k < kWidth; ++k) mean[k] = static_cast<Real>(moments[place.first_channel(t, kWidth) + k]);
    for_gradients<kAfter, kWidth>(pass, place, t,
                                  [&](std::int64_t, const Real(&x)[kWidth], const Real(&g)[kWidth]) {
#pragma unroll
                                    for (int k = 0; k < kWidth; ++k) {
                                      sums[k] += g[k];
                                      products[k] += g[k] * (x[k] - mean[k]);
                                    }
                                  });
  }
  join_lanes(sums, products, place, t, partials);
}

/// dx = scale * (g - mean(g) - normalised * mean(g * normalised)) = g * terms[0] + x * terms[1] + terms[2], a
/// channel each. `rows`: of the batch.
template <class Real>
__global__ void settle_gradients(Tiling t, double rows, const Real* __restrict__ partials,
                                 const Real* __restrict__ weight, const double* __restrict__ moments,
                                 Real* __restrict__ weight_gradient, Real* __restrict__ bias_gradient,
                                 Real* __restrict__ terms) {
  const Strand strand(t);
  const std::int64_t c = strand.channel;
  const std::int64_t slabs = strand.has_channel ? t.slabs : 0;
  double sum = 0, product = 0;
  for (std::int64_t slab = strand.number; slab < slabs; slab += kStrands) {
    sum += partials[slab * 2 * t.channels + c];
    product += partials[(slab * 2 + 1) * t.channels + c];
  }
  sum = strand.join(sum);
  product = strand.join(product);
  if (strand.number != 0 || !strand.has_channel) return;
  const double mean = moments[c], inverse = moments[t.channels + c];
  product *= inverse;
  const double scale = static_cast<double>(weight[c]) * inverse;
  const double slope = -scale * inverse * product / rows;
  weight_gradient[c] = static_cast<Real>(product);
  bias_gradient[c] = static_cast<Real>(sum);
  terms[c] = static_cast<Real>(scale);
  terms[t.channels + c] = static_cast<Real>(slope);
  terms[2 * t.channels + c] = static_cast<Real>(-scale * sum / rows - slope * mean);
}

template <class Element, int kWidth, AfterNorm kAfter>
__global__ void apply_gradients(Backward<Element> pass, Tiling t, const RealOf<Element>* __restrict__ terms,
                                Element* __restrict__ dx, Element* __restrict__ skip_gradient) {
  using Real = RealOf<Element>;
  const Place place(t);
  if (!place.has_work(t)) return;
  Real a[kWidth], b[kWidth], c[kWidth];
  const std::int64_t channel = place.first_channel(t, kWidth);
  load_table(terms, channel, a);
  load_table(terms + t.channels, channel, b);
  load_table(terms + 2 * t.channels, channel, c);
  for_gradients<kAfter, kWidth>(pass, place, t,
                                [&](std::int64_t at, const Real(&x)[kWidth], const Real(&g)[kWidth]) {
                                  Real out[kWidth];
#pragma unroll
                                  for (int k = 0; k < kWidth; ++k) out[k] = g[k] * a[k] + x[k] * b[k] + c[k];
                                  store(dx + at, out);
                                  if (skip_gradient != nullptr) store(skip_gradient + at, g);
                                });
}

}  // namespace

cudaError_t norm_backward(const void* x, const void* y, const void* dy, const void* weight,
                          const double* moments, const void* map, AfterNorm after,
                          DeviceNormGradients gradients, void* scratch, DeviceLayerCall call) {
  return with_form(call, {x, y, dy, gradients.x, gradients.skip}, [&](auto element, auto width) {
    using Element = decltype(element);
    using Real = RealOf<Element>;
    const Backward<Element> pass{static_cast<const Element*>(x),  static_cast<const Element*>(y),
                                 static_cast<const Element*>(dy), static_cast<const Real*>(map),
                                 floor_of<Real>(after),           blocks_in(call)};
    auto* partials = static_cast<Real*>(scratch);
    Launches launches(call.stream);
    with_after(after, [&](auto form) {
      constexpr AfterNorm kAfter = decltype(form)::value;
      constexpr int kWide = decltype(width)::value;
      // Four places of a block at once are many registers.
      constexpr int kWidth = kAfter == AfterNorm::relu_pool && kWide > 1 ? kWide / 2 : kWide;
      const Tiling summed = tiling<kWidth>(call, items_of(call, after), kMostSlabs);
      const Tiling applied = tiling<kWidth>(call, items_of(call, after), kAnyNumber);
      Real* terms = partials + 2 * std::int64_t{summed.slabs} * call.channels;
      launches.run(blocks_of(summed), kThreads, sum_gradients<Element, kWidth, kAfter>, pass, summed, moments,
                   partials);
      launches.run(joining_blocks(summed), kLanes * kStrands, settle_gradients<Real>, summed,
                   static_cast<double>(rows_of(call)), partials, static_cast<const Real*>(weight), moments,
                   static_cast<Real*>(gradients.weight), static_cast<Real*>(gradients.bias), terms);
      launches.run(blocks_of(applied), kThreads, apply_gradients<Element, kWidth, kAfter>, pass, applied,
                   terms, static_cast<Element*>(gradients.x), static_cast<Element*>(gradients.skip));
    });
    return launches.result();
  });
}

}  // namespace muster::workloads::device
