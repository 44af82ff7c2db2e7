#include "workloads/common/compression/cost_model.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "workloads/common/compression/packed_buffer.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kRepeats = 5;
constexpr std::size_t kFirst = 1024, kGrowth = 4;  // bytes
constexpr double kLong = 0.25;                     // seconds
constexpr std::int64_t kSample = 1 << 20;          // elements

double median_seconds(const std::function<void()>& action) {
  std::vector<double> seconds;
  for (int i = 0; i < kRepeats; ++i) {
    const auto start = Clock::now();
    action();
    seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  std::nth_element(seconds.begin(), seconds.begin() + kRepeats / 2, seconds.end());
  return seconds[kRepeats / 2];
}

double gathered_share(int ranks) { return ranks - 1; }
double reduced_share(int ranks) { return 2.0 * (ranks - 1) / ranks; }

}  // namespace

double LinkCost::seconds(double bytes) const {
  if (points.empty()) return 0;
  if (bytes <= points.front().bytes || points.size() == 1) return points.front().seconds;
  std::size_t right = 1;
  while (right + 1 < points.size() && points[right].bytes < bytes) ++right;
  const Point &from = points[right - 1], &to = points[right];
  const double slope = std::max(0.0, (to.seconds - from.seconds) / (to.bytes - from.bytes));
  return from.seconds + slope * (bytes - from.bytes);
}

LinkCosts measure_link(Communicator& communicator, ExchangeAlgorithm algorithm, std::size_t largest_bytes) {
  const int ranks = communicator.size();
  if (ranks == 1) return {};
  const auto measured = [&](double share, const std::function<void(std::size_t)>& exchange) {
    LinkCost cost;
    for (std::size_t bytes = kFirst;; bytes *= kGrowth) {
      communicator.barrier();
      double seconds = median_seconds([&] { exchange(bytes); });
      communicator.all_reduce(&seconds, 1, DType::f64, ReduceOp::maximum)->wait();
      cost.points.push_back({share * static_cast<double>(bytes), seconds});
      if (bytes >= largest_bytes || seconds > kLong) return cost;
    }
  };
  std::vector<float> buffer, gathered;
  LinkCosts costs;
  costs.gather = measured(gathered_share(ranks), [&](std::size_t bytes) {
    buffer.resize(bytes / sizeof(float));
    gathered.resize(buffer.size() * static_cast<std::size_t>(ranks));
    communicator.all_gather(buffer.data(), bytes, gathered.data())->wait();
  });
  costs.reduce = measured(reduced_share(ranks), [&](std::size_t bytes) {
    buffer.resize(bytes / sizeof(float));
    communicator.all_reduce(buffer.data(), buffer.size(), DType::f32, ReduceOp::sum, algorithm)->wait();
  });
  return costs;
}

LoopCost measure_loops(const CompressionOptions& options, std::uint64_t seed) {
  const CounterRandom random(seed, RandomStream::selection);
  std::vector<float> gradient(kSample), dense(kSample);
  for (std::int64_t i = 0; i < kSample; i += 4) {
    const auto bits = random.draw(0, static_cast<std::uint32_t>(i));
    for (std::int64_t j = 0; j < 4; ++j) {
      const double uniform = static_cast<double>(bits[static_cast<std::size_t>(j)]) * 0x1p-31 - 1;
      gradient[static_cast<std::size_t>(i + j)] = static_cast<float>(0.01 * uniform * uniform * uniform);
    }
  }
  const auto compressor = make_compressor(options, seed, 0);
  const Layer layer{"calibration", 0, kSample, 1024};
  PackedBuffer packed, sums;
  std::uint32_t step = 0;
  float scale = 0;
  const auto compress = [&] {
    compressor->begin_step(step++, options.ratio);
    scale = compressor->agrees_on_scale() ? compressor->own_scale(layer, gradient.data()) : 0;
    sums.clear();
    compressor->first_round(layer, gradient.data(), sums);
    compressor->take_first_round(layer, sums.part(0, sums.size()), 1);
    packed.clear();
    compressor->compress(layer, gradient.data(), scale, packed);
  };
  compress();
  LoopCost cost;
  cost.compress = median_seconds(compress) / kSample;
  cost.decompress =
      median_seconds(
          [&] { compressor->decompress_add(layer, packed.part(0, packed.size()), scale, 1, dense.data()); }) /
      kSample;
  return cost;
}

Prediction predict(const CompressionOptions& options, const LinkCosts& link, const LoopCost& loops,
                   const std::vector<Layer>& layers, int buckets, int ranks) {
  const auto compressor = make_compressor(options, 0, 0);
  double elements = 0, first = 0, small = 0, packed = 0;
  for (const Layer& layer : layers) {
    elements += static_cast<double>(layer.elements);
    first += static_cast<double>(compressor->first_round_bytes(layer));
    const auto bytes = compressor->packed_bytes(layer);
    packed += bytes ? static_cast<double>(*bytes) : 8.0 * options.ratio * static_cast<double>(layer.elements);
    if (compressor->agrees_on_scale() || !bytes) small += 4;
  }
  Prediction result;
  result.compress_seconds = elements * loops.compress;
  if (ranks == 1) {
    result.decompress_seconds = elements * loops.decompress;
    return result;
  }
  const auto add = [&](const LinkCost& cost, double bytes) {
    if (bytes == 0) return;
    result.bytes_sent += bytes;
    result.exchange_seconds += buckets * cost.seconds(bytes / buckets);
  };
  add(link.gather, small * gathered_share(ranks));
  add(link.reduce, first * reduced_share(ranks));
  const bool gathered = compressor->joining() == Joining::gathered;
  add(gathered ? link.gather : link.reduce,
      packed * (gathered ? gathered_share(ranks) : reduced_share(ranks)));
  result.decompress_seconds = elements * loops.decompress * (gathered ? ranks : 1);
  return result;
}

double break_even_ratio(CompressionOptions options, const LinkCosts& link, const LoopCost& loops,
                        const std::vector<Layer>& layers, int buckets, int ranks, double seconds) {
  const auto pays = [&](double ratio) {
    options.ratio = ratio;
    return predict(options, link, loops, layers, buckets, ranks).seconds() <= seconds;
  };
  if (pays(1)) return 1;
  double low = 1e-6, high = 1;
  if (!pays(low)) return 0;
  for (int i = 0; i < 50; ++i) {
    const double middle = std::sqrt(low * high);
    (pays(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace muster::workloads
