#include "workloads/common/data/augmentation.hpp"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"
#include "workloads/common/layers/elements.hpp"
#include "workloads/common/layers/gpu_layers.hpp"

namespace muster::workloads {
namespace {

constexpr int kSide = static_cast<int>(kImageSide);

// One sample's draws. The output begins `crop` rows and columns further in.
struct Draws {
  int crop_row = 0;
  int crop_column = 0;
  bool flip = false;
  int cutout_row = 0;
  int cutout_column = 0;
  int cutout = 0;
  bool reflect = false;
};

bool flipped(const CounterRandom& random, const AugmentationOptions& options, std::int64_t epoch,
             std::uint32_t sample, std::uint32_t bits) {
  if (!options.flip) return false;
  if (!options.alternate_flip) return (bits & 1) != 0;
  return ((random.draw(0, sample)[2] & 1) ^ (epoch & 1)) != 0;
}

Draws draw(const CounterRandom& random, const AugmentationOptions& options, std::int64_t epoch,
           std::int64_t sample) {
  const auto bits = random.draw(static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(sample));
  const auto more = random.draw(static_cast<std::uint32_t>(epoch), static_cast<std::uint32_t>(sample), 1);
  const auto offsets = static_cast<std::uint32_t>(2 * options.crop_padding + 1);
  const auto places = static_cast<std::uint32_t>(kSide - options.cutout + 1);
  return {.crop_row = static_cast<int>(below(bits[0], offsets)) - options.crop_padding,
          .crop_column = static_cast<int>(below(bits[1], offsets)) - options.crop_padding,
          .flip = flipped(random, options, epoch, static_cast<std::uint32_t>(sample), bits[2]),
          .cutout_row = static_cast<int>(below(more[0], places)),
          .cutout_column = static_cast<int>(below(more[1], places)),
          .cutout = options.cutout,
          .reflect = options.reflect};
}

int reflected(int at) { return at < 0 ? -at : at >= kSide ? 2 * (kSide - 1) - at : at; }

template <class T>
void make(const std::uint8_t* image, const T* values, const Draws& draws, T* out) {
  // Columns [left, right) of the output come from the image; the rest, and rows outside, are padding.
  const int shift = draws.flip ? -draws.crop_column : draws.crop_column;
  const int left = draws.reflect ? 0 : std::max(0, -shift);
  const int right = draws.reflect ? kSide : std::min(kSide, kSide - shift);
  for (int y = 0; y < kSide; ++y, out += 3 * kSide) {
    const int from = draws.reflect ? reflected(y + draws.crop_row) : y + draws.crop_row;
    if (from < 0 || from >= kSide) {
      std::fill_n(out, 3 * kSide, T(0));
      continue;
    }
    const std::uint8_t* row = image + 3 * kSide * from;
    std::fill_n(out, 3 * left, T(0));
    std::fill(out + 3 * right, out + 3 * kSide, T(0));
    for (int x = left; x < right; ++x) {
      const int column = reflected(x + shift);
      const std::uint8_t* pixel = row + 3 * (draws.flip ? kSide - 1 - column : column);
      for (int c = 0; c < 3; ++c) out[3 * x + c] = values[3 * pixel[c] + c];
    }
  }
  out -= 3 * kSide * kSide;
  for (int y = draws.cutout_row; y < draws.cutout_row + draws.cutout; ++y) {
    std::fill_n(out + 3 * (y * kSide + draws.cutout_column), 3 * draws.cutout, T(0));
  }
}

torch::Tensor channels_last_view(const torch::Tensor& nhwc) { return nhwc.permute({0, 3, 1, 2}); }

// Calls `body` with a pointer type of the dtype.
template <class Body>
void with_type(torch::Dtype dtype, const Body& body) {
  switch (dtype) {
    case torch::kFloat32:
      return body(float{});
    case torch::kFloat64:
      return body(double{});
    case torch::kBFloat16:
      return body(c10::BFloat16{});
    default:
      throw_bug("batches are float32, float64 or bfloat16");
  }
}

// [n, 6], a row as DeviceDraw has it, on its way to `device`: the host does not wait, since what it copies
// from is read before the call returns.
torch::Tensor table_of(std::span<const std::int64_t> samples, const std::vector<Draws>& draws,
                       torch::Device device) {
  const auto drawn = torch::empty({static_cast<std::int64_t>(samples.size()), 6}, torch::kInt32);
  auto* out = drawn.data_ptr<std::int32_t>();
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const Draws& d = draws[i];
    for (const int value : {static_cast<int>(samples[i]), d.crop_row, d.crop_column, static_cast<int>(d.flip),
                            d.cutout_row, d.cutout_column})
      *out++ = value;
  }
  return drawn.to(device, /*non_blocking=*/true);
}

// Images by our kernel, on the GPU where they are.
torch::Tensor by_kernel(const DeviceLayers& layers, const torch::Tensor& images, const torch::Tensor& values,
                        const torch::Tensor& table, const Draws& any) {
  static_assert(sizeof(DeviceDraw) == 6 * sizeof(std::int32_t));
  const auto batch = channels_last_view(
      torch::empty({table.size(0), kImageSide, kImageSide, kImageChannels}, values.options()));
  layers.make_batch(read<std::uint8_t>(images), read<void>(values),
                    static_cast<const DeviceDraw*>(table.const_data_ptr()),
                    {.cutout = any.cutout, .reflect = any.reflect}, write<void>(batch), *GpuCall(batch));
  return batch;
}

// Images by LibTorch's operators, on the device where they are: where each pixel of the batch comes from is
// worked out for rows and columns, and whatever comes from nowhere is 0.
torch::Tensor by_operators(const torch::Tensor& images, const torch::Tensor& values,
                           const torch::Tensor& drawn, const Draws& any) {
  const auto count = drawn.size(0);
  const auto table = drawn.to(torch::kInt64);
  const auto column_of = [&](std::int64_t i) { return table.narrow(1, i, 1); };  // [n, 1]
  const auto side = torch::arange(kImageSide, table.options());                  // [32]
  const auto flip = column_of(3);
  auto rows = side + column_of(1);  // [n, 32]
  auto columns = flip * (kImageSide - 1 - side) + (1 - flip) * side + column_of(2);
  const bool reflects = any.reflect;
  if (reflects) {
    const auto mirror = [](const torch::Tensor& at) {
      return kImageSide - 1 - (kImageSide - 1 - at.abs()).abs();
    };
    rows = mirror(rows);
    columns = mirror(columns);
  }
  const auto inside = [](const torch::Tensor& at) { return (at >= 0).logical_and(at < kImageSide); };
  auto seen = inside(rows).unsqueeze(2).logical_and(inside(columns).unsqueeze(1));  // [n, 32, 32]
  if (any.cutout > 0) {
    const auto within = [&](const torch::Tensor& from) {
      return (side >= from).logical_and(side < from + any.cutout);
    };
    seen = seen.logical_and(
        within(column_of(4)).unsqueeze(2).logical_and(within(column_of(5)).unsqueeze(1)).logical_not());
  }
  const auto clamped = [](const torch::Tensor& at) { return at.clamp(0, kImageSide - 1); };
  const auto pixels = (column_of(0).unsqueeze(2) * kImageSide + clamped(rows).unsqueeze(2)) * kImageSide +
                      clamped(columns).unsqueeze(1);                                      // [n, 32, 32]
  const auto bytes = images.view({-1, kImageChannels}).index_select(0, pixels.view(-1));  // [n*1024, 3]
  const auto levels =
      bytes.to(torch::kInt64) * kImageChannels + torch::arange(kImageChannels, table.options());
  const auto batch = values.view(-1).index_select(0, levels.view(-1));
  return channels_last_view(batch.view({count, kImageSide, kImageSide, kImageChannels})
                                .masked_fill(seen.logical_not().unsqueeze(3), 0));
}

torch::Tensor on_device(const torch::Tensor& images, const torch::Tensor& values_of_bytes,
                        std::span<const std::int64_t> samples, const std::vector<Draws>& draws,
                        bool by_kernels) {
  const auto table = table_of(samples, draws, images.device());
  const auto values = values_of_bytes.to(images.device(), /*non_blocking=*/true);
  const DeviceLayers* layers = by_kernels && images.is_cuda() ? gpu_layers() : nullptr;
  return layers != nullptr ? by_kernel(*layers, images, values, table, draws.front())
                           : by_operators(images, values, table, draws.front());
}

}  // namespace

BatchMaker::BatchMaker(const ChannelStatistics& statistics, torch::Dtype dtype, std::uint64_t seed,
                       AugmentationOptions options, bool by_kernels)
    : dtype_(dtype), seed_(seed), options_(options), by_kernels_(by_kernels) {
  if (options.crop_padding < 0 || options.crop_padding > kSide / 2 || options.cutout < 0 ||
      options.cutout > kSide) {
    throw Error(ExitCode::config,
                "crop padding " + std::to_string(options.crop_padding) + " or cutout " +
                    std::to_string(options.cutout) + " does not fit an image of 32 pixels",
                "padding goes from 0 to 16, cutout from 0 to 32");
  }
  if (options.alternate_flip && !options.flip) {
    throw Error(ExitCode::config, "images cannot be flipped in alternate epochs where they are not flipped",
                "set augment.flip = true as well, or leave augment.alternate_flip out");
  }
  const auto values = torch::empty({256, 3}, torch::kFloat64);
  auto* out = values.data_ptr<double>();
  for (int byte = 0; byte < 256; ++byte) {
    for (std::size_t c = 0; c < 3; ++c)
      *out++ = (byte / 255.0 - statistics.mean[c]) / statistics.deviation[c];
  }
  values_ = values.to(dtype);
}

torch::Tensor BatchMaker::training_batch(const ImageSet& set, std::span<const std::int64_t> samples,
                                         std::int64_t epoch) const {
  const auto count = static_cast<std::int64_t>(samples.size());
  const CounterRandom random(seed_, RandomStream::augmentation);
  if (!set.images.is_cpu()) {
    std::vector<Draws> draws;
    for (const std::int64_t sample : samples) draws.push_back(draw(random, options_, epoch, sample));
    return on_device(set.images, values_, samples, draws, by_kernels_);
  }
  const auto out = torch::empty({count, kImageSide, kImageSide, kImageChannels}, dtype_);
  const auto* images = set.images.const_data_ptr<std::uint8_t>();
  with_type(dtype_, [&]<class T>(T) {
    const T* values = values_.const_data_ptr<T>();
    T* to = out.data_ptr<T>();
    at::parallel_for(0, count, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t sample = samples[static_cast<std::size_t>(i)];
        make(images + sample * kImageBytes, values, draw(random, options_, epoch, sample),
             to + i * kImageBytes);
      }
    });
  });
  return channels_last_view(out);
}

torch::Tensor BatchMaker::evaluation_batch(const ImageSet& set, std::int64_t begin, std::int64_t end) const {
  if (!set.images.is_cpu()) {
    std::vector<std::int64_t> samples(static_cast<std::size_t>(end - begin));
    std::iota(samples.begin(), samples.end(), begin);
    return on_device(set.images, values_, samples, std::vector<Draws>(samples.size()), by_kernels_);
  }
  const auto out = torch::empty({end - begin, kImageSide, kImageSide, kImageChannels}, dtype_);
  const auto* images = set.images.const_data_ptr<std::uint8_t>();
  with_type(dtype_, [&]<class T>(T) {
    for (std::int64_t i = begin; i < end; ++i) {
      make(images + i * kImageBytes, values_.const_data_ptr<T>(), Draws{},
           out.data_ptr<T>() + (i - begin) * kImageBytes);
    }
  });
  return channels_last_view(out);
}

torch::Tensor BatchMaker::labels(const ImageSet& set, std::span<const std::int64_t> samples) {
  const auto out = torch::empty({static_cast<std::int64_t>(samples.size())}, torch::kInt64);
  const auto* from = set.labels.const_data_ptr<std::int64_t>();
  std::transform(samples.begin(), samples.end(), out.data_ptr<std::int64_t>(),
                 [&](auto sample) { return from[sample]; });
  return out;
}

}  // namespace muster::workloads
