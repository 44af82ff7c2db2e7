/// Times compressors' kernels beside a copy from device to device: gpu_compression_bench
///
/// Prints a line of JSON a method: bytes that must be read or written once, the median milliseconds, the
/// share of the copy's bandwidth, and times the copy of as many floats. `bar` is what is asked of it.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "tests/workloads/cuda/device_of_test.hpp"
#include "workloads/common/compression/compressor.hpp"
#include "workloads/common/compression/quantiser.hpp"

namespace {

using namespace muster::workloads;
using muster::testing::DeviceMemory;
using muster::testing::require;

constexpr std::int64_t kMany = 1 << 26;       // beyond what caches hold
constexpr std::int64_t kResNet9 = 6'573'120;  // of its parameters
constexpr double kRatio = 0.01;
constexpr float kThreshold = 0.001F;

double median_seconds(const std::function<void()>& act) {
  constexpr int kWarm = 3, kRuns = 21;
  cudaEvent_t begin = nullptr, end = nullptr;
  require(cudaEventCreate(&begin));
  require(cudaEventCreate(&end));
  std::vector<float> milliseconds;
  for (int run = 0; run < kWarm + kRuns; ++run) {
    require(cudaEventRecord(begin));
    act();
    require(cudaEventRecord(end));
    require(cudaEventSynchronize(end));
    float one = 0;
    require(cudaEventElapsedTime(&one, begin, end));
    if (run >= kWarm) milliseconds.push_back(one);
  }
  require(cudaEventDestroy(begin));
  require(cudaEventDestroy(end));
  std::nth_element(milliseconds.begin(), milliseconds.begin() + kRuns / 2, milliseconds.end());
  return 1e-3 * static_cast<double>(milliseconds[kRuns / 2]);
}

struct Copy {
  double bytes, seconds;
};

void print(const std::string& method, std::int64_t elements, Copy copy, double bytes, double seconds,
           const std::string& bar) {
  std::printf(
      "{\"method\": \"%s\", \"elements\": %lld, \"MB\": %.1f, \"ms\": %.4f, \"GB_per_s\": %.1f, "
      "\"of_copy_bandwidth\": %.3f, \"times_the_copy\": %.2f, \"bar\": \"%s\"}\n",
      method.c_str(), static_cast<long long>(elements), 1e-6 * bytes, 1e3 * seconds, 1e-9 * bytes / seconds,
      bytes / seconds / (copy.bytes / copy.seconds), seconds / copy.seconds, bar.c_str());
}

/// Magnitudes over several decades, about a tenth of them from kThreshold on.
std::vector<float> gradient(std::int64_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<std::size_t>(count));
  const auto drawn = std::min<std::size_t>(values.size(), 1 << 20);
  for (std::size_t i = 0; i < drawn; ++i) values[i] = normal(random) * std::exp(normal(random)) * 3.5e-4F;
  for (std::size_t i = drawn; i < values.size(); ++i) values[i] = values[i - drawn];
  return values;
}

void measure(const DeviceCompression& gpu, std::int64_t count) {
  const bool many = count == kMany;
  const auto size = static_cast<std::size_t>(count);
  const auto n = static_cast<double>(count);
  const DeviceMemory<float> x(gradient(count)), sum{std::vector<float>(size)}, scale(2), norm(1);
  const DeviceMemory<std::uint32_t> packed(2 * size), drawn(size);
  const DeviceMemory<std::uint64_t> scratch(gpu.scratch_bytes(count) / 8 + 1);
  const DeviceMemory<DeviceReport> report(std::vector<DeviceReport>{{0, 0}});
  const DeviceCall call{nullptr, scratch.get(), report.get()};
  auto* const bytes = reinterpret_cast<std::uint8_t*>(packed.get());
  auto* const halves = reinterpret_cast<std::uint16_t*>(packed.get());
  const auto* const floats = reinterpret_cast<const float*>(packed.get());

  const Copy copy{
      8 * n, median_seconds([&] {
        require(cudaMemcpyAsync(sum.get(), x.get(), size * sizeof(float), cudaMemcpyDeviceToDevice));
      })};
  print("copy", count, copy, copy.bytes, copy.seconds, "");
  const auto measured = [&](const std::string& method, double moved, const std::string& bar,
                            const std::function<void()>& act) {
    print(method, count, copy, moved, median_seconds(act), many ? bar : "");
  };
  const std::string fast = "0.6 of the copy's bandwidth";

  const auto threshold = [&] {
    gpu.threshold(x.get(), count, std::bit_cast<std::uint32_t>(kThreshold), packed.get(), call);
  };
  threshold();
  const std::uint32_t reached = report.read().front().kept;
  measured("thresholdv", 4 * n + 8.0 * reached, fast, threshold);
  measured("thresholdv, added", 16.0 * reached, "",
           [&] { gpu.scatter_add(packed.get(), floats + reached, reached, 0.5F, sum.get(), call); });

  const std::int64_t kept = kept_elements(count, kRatio);
  const auto k = static_cast<double>(kept);
  measured("topk 1 %", 4 * n + 8 * k, "4 times the copy",
           [&] { gpu.largest_k(x.get(), count, kept, packed.get(), call); });
  measured("randomk 1 %", 4 * n + 12 * k, "", [&] {
    gpu.inspect(x.get(), count, call);
    gpu.choose({1, 0, 0, 8}, count, kept, drawn.get(), packed.get(), call);
    gpu.gather(x.get(), packed.get(), kept, 1, sum.get(), call);
  });

  struct Rounded {
    const char* method;
    std::uint32_t levels;
  };
  for (const auto& [method, levels] : {Rounded{"terngrad", 1}, Rounded{"qsgd", 255}}) {
    const Layer layer{"all", 0, count, 1};
    Quantisation how = quantisation_of({1, 0}, layer, 0, levels);
    const double coded = n * how.bits / 8;
    how.scales = levels == 1 ? scale.get() : norm.get();
    measured(std::string(method) + ", scale", 4 * n, "", [&, levels = levels] {
      if (levels == 1) gpu.ternary_scale(x.get(), count, 0, scale.get(), call);
      if (levels != 1) gpu.norms(x.get(), count, 0, norm.get(), call);
    });
    measured(method, 4 * n + coded, fast, [&] { gpu.quantise(x.get(), count, how, nullptr, bytes, call); });
    measured(std::string(method) + ", added", 8 * n + coded, fast,
             [&] { gpu.dequantise_add(bytes, count, how, 0.5F, sum.get(), call); });
  }

  measured("fp16", 6 * n, "", [&] { gpu.to_half(x.get(), count, halves, call); });
  measured("fp16, added", 10 * n, "", [&] { gpu.add_half(halves, count, 0.5F, sum.get(), call); });
  measured("bf16", 6 * n, "", [&] { gpu.to_bf16(x.get(), count, halves, call); });
  measured("bf16, added", 10 * n, "", [&] { gpu.add_bf16(halves, count, 0.5F, sum.get(), call); });
}

}  // namespace

int main() {
  if (const std::string missing = muster::testing::missing_device(); !missing.empty()) {
    std::fprintf(stderr, "%s\n", missing.c_str());
    return 5;
  }
  const DeviceCompression& gpu = muster::testing::device_compression();
  measure(gpu, kMany);
  measure(gpu, kResNet9);
  return 0;
}
