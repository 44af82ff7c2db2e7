#include <limits>

#include "workloads/common/kernels/kernels.hpp"
#include "workloads/common/layers/elements.hpp"
#include "workloads/common/layers/norm_arithmetic.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

// Sums are made chunk by chunk, of so many at most, and the chunks then joined in order: the result does not
// depend on threads.
constexpr std::int64_t kChunks = 32;
constexpr std::int64_t kLeastRows = 256;

template <class Element>
struct TypeOf;
template <>
struct TypeOf<float> {
  using Real = float;
  static const auto& table() { return kernels().norm_f32; }
};
template <>
struct TypeOf<double> {
  using Real = double;
  static const auto& table() { return kernels().norm_f64; }
};
template <>
struct TypeOf<Bf16> {
  using Real = float;
  static const auto& table() { return kernels().norm_bf16; }
};

// How a tensor is cut: whole images where pooling needs them, rows else.
struct Cut {
  explicit Cut(const Tensor& x, bool by_image)
      : images(x.size(0)),
        height(x.size(2)),
        width(x.size(3)),
        channels(x.size(1)),
        unit_rows(by_image ? height * width : 1),
        units(by_image ? images : images * height * width) {
    const std::int64_t least = std::max<std::int64_t>(1, kLeastRows / unit_rows);
    per_chunk = std::max(least, (units + kChunks - 1) / kChunks);
    chunks = (units + per_chunk - 1) / per_chunk;
  }
  std::int64_t begin(std::int64_t chunk) const { return chunk * per_chunk; }
  std::int64_t count(std::int64_t chunk) const {
    return std::min(units, begin(chunk) + per_chunk) - begin(chunk);
  }

  std::int64_t images, height, width, channels, unit_rows, units;
  std::int64_t per_chunk = 1, chunks = 1;
};

template <class Body>
void for_chunks(const Cut& cut, const Body& body) {
  at::parallel_for(0, cut.chunks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t chunk = first; chunk < last; ++chunk) body(chunk);
  });
}

// Mean and sum of squared deviations of each channel, fp64 [2, channels] (Chan, Golub and LeVeque 1983).
template <class Element>
Tensor moments(const Tensor& x) {
  using Real = typename TypeOf<Element>::Real;
  const Cut cut(x, false);
  std::vector<Real> sums(static_cast<std::size_t>(2 * cut.chunks * cut.channels));
  const Element* data = read<Element>(x);
  for_chunks(cut, [&](std::int64_t chunk) {
    Real* out = sums.data() + 2 * chunk * cut.channels;
    TypeOf<Element>::table().statistics(data + cut.begin(chunk) * cut.channels, cut.count(chunk),
                                        cut.channels, out, out + cut.channels);
  });
  const Tensor result = torch::zeros({2, cut.channels}, torch::kFloat64);
  double* mean = result.data_ptr<double>();
  double* spread = mean + cut.channels;
  for (std::int64_t chunk = 0; chunk < cut.chunks; ++chunk) {
    const Real* part = sums.data() + 2 * chunk * cut.channels;
    Tensor origin = torch::empty({cut.channels}, torch::kFloat64);
    const Tensor row = x.permute({0, 2, 3, 1}).view({-1, cut.channels})[cut.begin(chunk)];
    origin.copy_(row);
    const double* from = origin.const_data_ptr<double>();
    const auto before = static_cast<double>(cut.begin(chunk));
    const auto count = static_cast<double>(cut.count(chunk));
    for (std::int64_t c = 0; c < cut.channels; ++c) {
      const double sum = part[c];
      const double gap = from[c] + sum / count - mean[c];
      spread[c] += part[cut.channels + c] - sum * sum / count + gap * gap * before * count / (before + count);
      mean[c] += gap * count / (before + count);
    }
  }
  return result;
}

// Joins the chunks' sums: fp64 [2, channels].
template <class Real>
Tensor joined(const std::vector<Real>& parts, const Cut& cut) {
  const Tensor result = torch::zeros({2, cut.channels}, torch::kFloat64);
  double* out = result.data_ptr<double>();
  for (std::int64_t chunk = 0; chunk < cut.chunks; ++chunk) {
    for (std::int64_t c = 0; c < 2 * cut.channels; ++c)
      out[c] += parts[static_cast<std::size_t>(2 * chunk * cut.channels + c)];
  }
  return result;
}

template <class Real>
Real floor_of(AfterNorm after) {
  return after == AfterNorm::nothing ? -std::numeric_limits<Real>::infinity() : Real(0);
}

template <class Element>
ChannelMap<typename TypeOf<Element>::Real> channel_map(const Tensor& map) {
  const auto* scale = read<typename TypeOf<Element>::Real>(map);
  return {scale, scale + map.size(1)};
}

template <class Element>
Tensor applied(const Tensor& x, const Tensor& skip, const Tensor& map_of_channels, AfterNorm after) {
  using Real = typename TypeOf<Element>::Real;
  const bool pool = after == AfterNorm::relu_pool;
  const Tensor y = empty_result(x, after);
  const ChannelMap<Real> map = channel_map<Element>(map_of_channels);
  const Cut cut(x, pool);
  const Element* from = read<Element>(x);
  const Element* added = read<Element>(skip);
  Element* to = write<Element>(y);
  for_chunks(cut, [&](std::int64_t chunk) {
    const std::int64_t at = cut.begin(chunk) * cut.unit_rows * cut.channels;
    if (pool) {
      TypeOf<Element>::table().apply_pool(from + at, cut.count(chunk), cut.height, cut.width, cut.channels,
                                          map, to + at / 4);
    } else {
      TypeOf<Element>::table().apply(from + at, added ? added + at : nullptr, cut.count(chunk), cut.channels,
                                     map, floor_of<Real>(after), to + at);
    }
  });
  return y;
}

template <class Element>
NormGradients gradients_of(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& weight,
                           const BatchMoments& batch, AfterNorm after) {
  using Real = typename TypeOf<Element>::Real;
  const auto real = weight.scalar_type();
  const bool pool = after == AfterNorm::relu_pool;
  const Cut cut(x, pool);
  const auto& table = TypeOf<Element>::table();
  const ChannelMap<Real> map = channel_map<Element>(batch.map);
  const Tensor mean = batch.moments[0], inverse = batch.moments[1];
  const Tensor mean_real = mean.to(real);
  const Element* from = read<Element>(x);
  const Element* mask = read<Element>(y);
  const Element* gradient = read<Element>(dy);

  std::vector<Real> parts(static_cast<std::size_t>(2 * cut.chunks * cut.channels));
  for_chunks(cut, [&](std::int64_t chunk) {
    const std::int64_t at = cut.begin(chunk) * cut.unit_rows * cut.channels;
    Real* out = parts.data() + 2 * chunk * cut.channels;
    if (pool) {
      table.backward_pool_sums(from + at, gradient + at / 4, cut.count(chunk), cut.height, cut.width,
                               cut.channels, map, read<Real>(mean_real), out, out + cut.channels);
    } else {
      table.backward_sums(from + at, mask ? mask + at : nullptr, gradient + at, cut.count(chunk),
                          cut.channels, map, floor_of<Real>(after), read<Real>(mean_real), out,
                          out + cut.channels);
    }
  });
  const Tensor sums = joined(parts, cut);
  const Tensor sum = sums[0];
  const Tensor product = sums[1] * inverse;  // of g with the normalised input

  // dx = scale * (g - mean(g) - normalised * mean(g * normalised)), as g * a + x * b + c.
  const auto count = static_cast<double>(x.numel() / cut.channels);
  const Tensor wide = weight.to(torch::kFloat64) * inverse;
  const Tensor b = -wide * inverse * product / count;
  const Tensor c = -wide * sum / count - b * mean;
  const Tensor a_real = wide.to(real), b_real = b.to(real), c_real = c.to(real);
  const Tensor dx = torch::empty_like(x);
  const Tensor skip_gradient = y.defined() ? torch::empty_like(x) : Tensor();
  Element* to = write<Element>(dx);
  Element* to_skip = write<Element>(skip_gradient);
  for_chunks(cut, [&](std::int64_t chunk) {
    const std::int64_t at = cut.begin(chunk) * cut.unit_rows * cut.channels;
    if (pool) {
      table.backward_pool_apply(from + at, gradient + at / 4, cut.count(chunk), cut.height, cut.width,
                                cut.channels, map, read<Real>(a_real), read<Real>(b_real), read<Real>(c_real),
                                to + at);
    } else {
      table.backward_apply(from + at, mask ? mask + at : nullptr, gradient + at, cut.count(chunk),
                           cut.channels, map, floor_of<Real>(after), read<Real>(a_real), read<Real>(b_real),
                           read<Real>(c_real), to + at, to_skip ? to_skip + at : nullptr);
    }
  });
  return {.x = dx, .weight = product.to(real), .bias = sum.to(real), .skip = skip_gradient};
}

class OnCpu final : public NormArithmetic {
 public:
  BatchMoments of_batch(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                        const Tensor& running_var, const BatchNormOptions& options) const override {
    const Tensor moment = with_element(x, [&]<class Element>(Element) { return moments<Element>(x); });
    const auto real = weight.scalar_type();
    const auto count = static_cast<double>(x.numel() / x.size(1));
    const Tensor mean = moment[0];
    const Tensor inverse = torch::rsqrt(moment[1] / count + options.epsilon);
    running_mean.mul_(1 - options.momentum).add_(mean.to(real), options.momentum);
    running_var.mul_(1 - options.momentum)
        .add_((moment[1] / std::max(count - 1, 1.0)).to(real), options.momentum);
    const Tensor scale = weight.to(torch::kFloat64) * inverse;
    const Tensor shift = bias.to(torch::kFloat64) - mean * scale;
    return {torch::stack({mean, inverse}), torch::stack({scale, shift}).to(real)};
  }

  Tensor apply(const Tensor& x, const Tensor& skip, const Tensor& map, AfterNorm after) const override {
    return with_element(x, [&]<class Element>(Element) { return applied<Element>(x, skip, map, after); });
  }

  NormGradients gradients(const Tensor& x, const Tensor& y, const Tensor& dy, const Tensor& weight,
                          const BatchMoments& batch, AfterNorm after) const override {
    return with_element(
        x, [&]<class Element>(Element) { return gradients_of<Element>(x, y, dy, weight, batch, after); });
  }
};

}  // namespace

const NormArithmetic& norm_on_cpu() {
  static const OnCpu only;
  return only;
}

Tensor empty_result(const Tensor& x, AfterNorm after) {
  if (after != AfterNorm::relu_pool) return torch::empty_like(x);
  return torch::empty({x.size(0), x.size(1), x.size(2) / 2, x.size(3) / 2},
                      x.options().memory_format(torch::MemoryFormat::ChannelsLast));
}

}  // namespace muster::workloads
