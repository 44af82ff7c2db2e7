/// Compressors' kernels against the CPU's compressors, bit for bit, on a GPU or over an emulated CUDA.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/workloads/cuda/device_of_test.hpp"
#include "workloads/common/compression/compressor.hpp"
#include "workloads/common/compression/quantiser.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {
namespace {

using muster::testing::DeviceMemory;
using Bytes = std::vector<std::uint8_t>;
using Floats = std::vector<float>;
using Words = std::vector<std::uint32_t>;

constexpr std::uint64_t kSeed = 0x123456789ABCDEF0;
constexpr int kRank = 3;
constexpr std::uint32_t kStep = 41;
constexpr std::uint32_t kInfinity = 0x7F800000;

Floats made(std::int64_t count, const std::function<float(std::int64_t)>& at) {
  Floats values;
  values.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values.push_back(at(i));
  return values;
}

const std::vector<std::string> kSorts = {"usual",         "zeros",     "equal",
                                         "of few values", "subnormal", "of all sizes"};

/// The same each time that it is asked for.
const Floats& gradient_of(std::int64_t count, const std::string& sort) {
  static std::map<std::pair<std::int64_t, std::string>, Floats> known;
  const auto [place, fresh] = known.try_emplace({count, sort});
  if (!fresh) return place->second;
  std::mt19937 random(static_cast<unsigned>(count));
  std::normal_distribution<float> normal;
  std::uniform_int_distribution<int> few(-2, 2), exponent(-148, 90);
  return place->second = made(count, [&](std::int64_t i) {
           if (sort == "zeros") return 0.0F;
           if (sort == "equal") return i % 3 == 0 ? -0.5F : 0.5F;
           if (sort == "of few values") return static_cast<float>(few(random)) * 0.001F;
           if (sort == "subnormal") return std::ldexp(normal(random), -140);
           if (sort == "of all sizes") return std::ldexp(normal(random), exponent(random));
           const float value = normal(random) * std::exp(normal(random)) * 3.5e-4F;
           return i % 17 == 3 ? std::copysign(0.0F, value) : value;
         });
}

const std::vector<std::int64_t> kSizes = {0, 1, 2, 15, 511, 512, 513, 1000, 1025, 8191, 8192, 8193};

class DeviceCompressionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = testing::missing_device(); !missing.empty()) GTEST_SKIP() << missing;
    gpu_ = &testing::device_compression();
  }

  static void for_each_gradient(const std::function<void(const Floats&)>& act) {
    for (const std::int64_t size : kSizes) {
      for (const std::string& sort : kSorts) {
        SCOPED_TRACE(std::to_string(size) + " elements, " + sort);
        act(gradient_of(size, sort));
      }
    }
    SCOPED_TRACE("many elements");
    act(gradient_of(testing::many_elements(), "usual"));
  }

  /// A compressor of the CPU, and what it makes of a gradient.
  struct Reference {
    std::unique_ptr<Compressor> compressor;
    Layer layer;
    float scale = 0;
    Bytes packed;

    Reference(const CompressionOptions& options, const Floats& gradient)
        : compressor(make_compressor(options, kSeed, kRank)),
          layer{"layer", 5, static_cast<std::int64_t>(gradient.size()), 1} {
      compressor->begin_step(kStep, options.ratio);
      PackedBuffer out;
      if (compressor->agrees_on_scale()) scale = compressor->own_scale(layer, gradient.data());
      compressor->compress(layer, gradient.data(), scale, out);
      const auto* begin = reinterpret_cast<const std::uint8_t*>(out.data());
      packed.assign(begin, begin + out.size());
    }
    /// What adding the packed form to `before` makes of it.
    Floats added(float factor, Floats before) const {
      const auto* bytes = reinterpret_cast<const std::byte*>(packed.data());
      compressor->decompress_add(layer, {bytes, packed.size()}, scale, factor, before.data());
      return before;
    }
    DrawSource source() const { return {kSeed, kRank}; }
  };

  /// Runs `act` with memory of its own, which nobody cleared but the report.
  DeviceReport run(std::int64_t count, const std::function<void(DeviceCall)>& act) const {
    const DeviceMemory<std::uint64_t> scratch(gpu_->scratch_bytes(count) / 8 + 1);
    const DeviceMemory<DeviceReport> report(std::vector<DeviceReport>{{0, 0}});
    act({nullptr, scratch.get(), report.get()});
    return report.read().front();
  }

  static Floats some_sum(std::size_t count) {
    return made(static_cast<std::int64_t>(count), [](auto i) { return static_cast<float>(i % 91) * 0.01F; });
  }

  template <class Element>
  static Bytes bytes_of(const std::vector<Element>& values, std::size_t count) {
    Bytes bytes(count * sizeof(Element));
    if (count > 0) std::memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
  }
  static bool same_bits(const Floats& a, const Floats& b) {
    return bytes_of(a, a.size()) == bytes_of(b, b.size());
  }
  static std::uint32_t largest_of(const Floats& x) {
    return compression_kernels().largest_magnitude(x.data(), static_cast<std::int64_t>(x.size()));
  }

  /// thresholdv and topk: what is in `packed`, and what it adds to a sum.
  void expect_sparse(const Reference& cpu, const DeviceMemory<std::uint32_t>& packed, DeviceReport report,
                     const Floats& gradient) const {
    ASSERT_EQ(report.kept, cpu.packed.size() / 8);
    EXPECT_TRUE(bytes_of(packed.read(), 2UL * report.kept) == cpu.packed);
    EXPECT_EQ(report.largest, largest_of(gradient));
    const DeviceMemory<float> sum(some_sum(gradient.size()));
    const auto* values = reinterpret_cast<const float*>(packed.get() + report.kept);
    run(1, [&](auto call) { gpu_->scatter_add(packed.get(), values, report.kept, 0.3F, sum.get(), call); });
    EXPECT_TRUE(same_bits(sum.read(), cpu.added(0.3F, some_sum(gradient.size()))));
  }

  /// Codes of the CPU's bits, given its scales, and what they add.
  void expect_codes(const Reference& cpu, const Floats& gradient, Quantisation how, const Floats& scales,
                    float limit) const {
    const auto count = static_cast<std::int64_t>(gradient.size());
    const DeviceMemory<float> x(gradient), scale(scales), cut(Floats{limit}), sum(some_sum(gradient.size()));
    const DeviceMemory<std::uint8_t> packed(code_bytes(count, how.bits));
    how.scales = scale.get();
    run(1, [&](auto call) { gpu_->quantise(x.get(), count, how, cut.get(), packed.get(), call); });
    const Bytes codes(cpu.packed.end() - static_cast<std::ptrdiff_t>(packed.read().size()), cpu.packed.end());
    EXPECT_TRUE(packed.read() == codes);
    run(1, [&](auto call) { gpu_->dequantise_add(packed.get(), count, how, 0.3F, sum.get(), call); });
    EXPECT_TRUE(same_bits(sum.read(), cpu.added(0.3F, some_sum(gradient.size()))));
  }

  const DeviceCompression* gpu_ = nullptr;
};

TEST_F(DeviceCompressionTest, ThresholdKeepsWhatTheCpuKeepsInItsOrder) {
  for (const double threshold : {0.001, 0.0, 1e30}) {
    SCOPED_TRACE(threshold);
    for_each_gradient([&](const Floats& gradient) {
      const Reference cpu({.method = "thresholdv", .threshold = threshold}, gradient);
      const auto count = static_cast<std::int64_t>(gradient.size());
      const DeviceMemory<float> x(gradient);
      const DeviceMemory<std::uint32_t> packed(2 * gradient.size());
      const auto floor = std::bit_cast<std::uint32_t>(static_cast<float>(threshold));
      const auto report =
          run(count, [&](auto call) { gpu_->threshold(x.get(), count, floor, packed.get(), call); });
      expect_sparse(cpu, packed, report, gradient);
    });
  }
}

TEST_F(DeviceCompressionTest, LargestAreTheCpusAndOfEqualOnesTheFirst) {
  for (const double ratio : {1e-9, 0.01, 0.5, 1.0}) {
    SCOPED_TRACE(ratio);
    for_each_gradient([&](const Floats& gradient) {
      if (gradient.empty()) return;
      const Reference cpu({.method = "topk", .ratio = ratio}, gradient);
      const auto count = static_cast<std::int64_t>(gradient.size());
      const DeviceMemory<float> x(gradient);
      const DeviceMemory<std::uint32_t> packed(2 * gradient.size());
      const auto report = run(count, [&](auto call) {
        gpu_->largest_k(x.get(), count, kept_elements(count, ratio), packed.get(), call);
      });
      expect_sparse(cpu, packed, report, gradient);
    });
  }
}

TEST_F(DeviceCompressionTest, ChosenElementsAreTheCpus) {
  for (const double ratio : {0.01, 0.5, 1.0}) {
    SCOPED_TRACE(ratio);
    for (const std::int64_t size : {1L, 2L, 511L, 513L, 8193L, testing::many_elements()}) {
      SCOPED_TRACE(size);
      const Floats gradient = gradient_of(size, "usual");
      const Reference cpu({.method = "randomk", .ratio = ratio, .unbiased = true}, gradient);
      const std::int64_t kept = kept_elements(size, ratio);
      const DrawKey key{kSeed, cpu.layer.index, kStep, static_cast<std::uint32_t>(RandomStream::selection)};
      const DeviceMemory<float> x(gradient), packed(static_cast<std::size_t>(kept)),
          sum(some_sum(gradient.size()));
      const DeviceMemory<std::uint32_t> drawn(gradient.size()), index(static_cast<std::size_t>(kept));
      const auto factor = static_cast<float>(static_cast<double>(size) / static_cast<double>(kept));
      const auto report = run(size, [&](auto call) {
        gpu_->inspect(x.get(), size, call);
        gpu_->choose(key, size, kept, drawn.get(), index.get(), call);
        gpu_->gather(x.get(), index.get(), kept, factor, packed.get(), call);
        gpu_->scatter_add(index.get(), packed.get(), kept, 0.3F, sum.get(), call);
      });
      EXPECT_TRUE(bytes_of(packed.read(), static_cast<std::size_t>(kept)) == cpu.packed);
      EXPECT_TRUE(same_bits(sum.read(), cpu.added(0.3F, some_sum(gradient.size()))));
      EXPECT_EQ(report.largest, largest_of(gradient));
    }
  }
}

TEST_F(DeviceCompressionTest, TernaryCodesAreTheCpusGivenItsScale) {
  for (const double clip : {0.0, 2.5}) {
    SCOPED_TRACE(clip);
    for_each_gradient([&](const Floats& gradient) {
      const Reference cpu({.method = "terngrad", .clip = clip}, gradient);
      const auto count = static_cast<std::int64_t>(gradient.size());
      const DeviceMemory<float> x(gradient), scale(2);
      const auto report =
          run(count, [&](auto call) { gpu_->ternary_scale(x.get(), count, clip, scale.get(), call); });
      const Floats found = scale.read();
      EXPECT_EQ(report.largest, largest_of(gradient));
      float limit = std::numeric_limits<float>::infinity();
      if (clip > 0 && count > 0) {
        double sum = 0, squares = 0;
        compression_kernels().moments(gradient.data(), count, &sum, &squares);
        const double n = static_cast<double>(count), mean = sum / n;
        limit = static_cast<float>(clip * std::sqrt(std::max(0.0, squares / n - mean * mean)));
        // Of one element, or equal ones, what is left of the variance is rounding alone.
        EXPECT_NEAR(found[1], limit, 1e-5F * limit + 1e-6F * found[0]);
        EXPECT_NEAR(found[0], cpu.scale, 1e-5F * cpu.scale + 1e-6F * std::bit_cast<float>(report.largest));
      } else {
        EXPECT_EQ(found[0], cpu.scale);
        EXPECT_EQ(found[1], limit);
      }
      expect_codes(cpu, gradient, quantisation_of(cpu.source(), cpu.layer, kStep, 1), {cpu.scale}, limit);
    });
  }
}

TEST_F(DeviceCompressionTest, LevelsAreTheCpusGivenItsNorms) {
  for (const std::int64_t levels : {1, 5, 255, 32767}) {
    for (const std::int64_t bucket : {0, 512, 1536}) {
      SCOPED_TRACE(std::to_string(levels) + " levels, buckets of " + std::to_string(bucket));
      for_each_gradient([&](const Floats& gradient) {
        if (gradient.empty()) return;
        const Reference cpu({.method = "qsgd", .levels = levels, .bucket = bucket}, gradient);
        const auto count = static_cast<std::int64_t>(gradient.size());
        Quantisation how =
            quantisation_of(cpu.source(), cpu.layer, kStep, static_cast<std::uint32_t>(levels));
        how.bucket = bucket;
        Floats norms(bucket == 0 ? 1 : static_cast<std::size_t>((count + bucket - 1) / bucket));
        std::memcpy(norms.data(), cpu.packed.data(), norms.size() * sizeof(float));
        const DeviceMemory<float> x(gradient), found(norms.size());
        const auto report =
            run(count, [&](auto call) { gpu_->norms(x.get(), count, bucket, found.get(), call); });
        for (std::size_t i = 0; i < norms.size(); ++i) EXPECT_FLOAT_EQ(found.read()[i], norms[i]);
        EXPECT_EQ(report.largest, largest_of(found.read()));
        expect_codes(cpu, gradient, how, norms, std::numeric_limits<float>::infinity());
      });
    }
  }
}

/// Where an element's 16 bits equal those of its fraction, 32 more decide. All elements are made so.
TEST_F(DeviceCompressionTest, RoundsAsTheCpuWhereSixteenBitsDecideNothing) {
  constexpr std::int64_t kCount = 5000;
  const Layer layer{"layer", 5, kCount, 1};
  const float one = 1;
  Quantisation how = quantisation_of({kSeed, kRank}, layer, kStep, 1);
  how.scales = &one;
  const auto codes_of = [&](const Floats& x) {
    Bytes codes(code_bytes(kCount, how.bits));
    compression_kernels().quantise(x.data(), kCount, how, codes.data());
    return codes;
  };
  // A magnitude t / 65536 goes up exactly where the 16 bits are below t; a sum of 1 tells which did.
  std::vector<int> half(kCount, 0);
  for (int bit = 1 << 15; bit > 0; bit /= 2) {
    const Bytes codes = codes_of(made(
        kCount, [&](auto i) { return static_cast<float>(half[static_cast<std::size_t>(i)] + bit) / 65536; }));
    Floats went_up(kCount);
    compression_kernels().dequantise_add(codes.data(), kCount, how, went_up.data());
    for (std::size_t i = 0; i < kCount; ++i) half[i] += went_up[i] == 0 ? bit : 0;
  }
  const Floats x = made(kCount, [&](auto i) {
    const auto rest = static_cast<float>(i % 256) / 256;
    return (static_cast<float>(half[static_cast<std::size_t>(i)]) + rest) / 65536;
  });
  const Bytes expected = codes_of(x);
  const DeviceMemory<float> on_device(x), scale(Floats{1});
  const DeviceMemory<std::uint8_t> packed(expected.size());
  how.scales = scale.get();
  run(1, [&](auto call) { gpu_->quantise(on_device.get(), kCount, how, nullptr, packed.get(), call); });
  EXPECT_TRUE(packed.read() == expected);
}

TEST_F(DeviceCompressionTest, SixteenBitFloatsAreTheCpus) {
  const CompressionKernels& cpu = compression_kernels();
  struct Form {
    void (*pack)(const float*, std::int64_t, std::uint16_t*);
    void (*add)(const std::uint16_t*, std::int64_t, float, float*);
    decltype(gpu_->to_half) gpu_pack;
    decltype(gpu_->add_half) gpu_add;
  };
  for (const Form& form : {Form{cpu.to_half, cpu.add_half, gpu_->to_half, gpu_->add_half},
                           Form{cpu.to_bf16, cpu.add_bf16, gpu_->to_bf16, gpu_->add_bf16}}) {
    // Every form but NaN, the floats beside it, and what lies in the middle of it and the next.
    std::vector<std::uint16_t> forms;
    Floats x;
    for (unsigned bits = 0; bits < 65536; ++bits) {
      const auto one = static_cast<std::uint16_t>(bits), next = static_cast<std::uint16_t>(bits + 1);
      float value = 0, above = 0;
      form.add(&one, 1, 1, &value);
      form.add(&next, 1, 1, &above);
      if (std::isnan(value)) continue;
      forms.push_back(one);
      const float middle = value / 2 + above / 2;
      for (const float near : {value, middle}) {
        if (!std::isfinite(near)) continue;
        x.insert(x.end(), {near, std::nextafter(near, -1e38F), std::nextafter(near, 1e38F)});
      }
    }
    x.push_back(65519.996F);
    x.push_back(65520);
    const auto count = static_cast<std::int64_t>(x.size());
    std::vector<std::uint16_t> expected(x.size());
    form.pack(x.data(), count, expected.data());
    const DeviceMemory<float> on_device(x);
    const DeviceMemory<std::uint16_t> packed(x.size());
    const auto report = run(1, [&](auto call) { form.gpu_pack(on_device.get(), count, packed.get(), call); });
    EXPECT_TRUE(packed.read() == expected);
    EXPECT_EQ(report.largest, largest_of(x));

    Floats sum = some_sum(forms.size());
    const DeviceMemory<float> gpu_sum(sum);
    const DeviceMemory<std::uint16_t> gpu_forms(forms);
    const auto all = static_cast<std::int64_t>(forms.size());
    form.add(forms.data(), all, 0.3F, sum.data());
    run(1, [&](auto call) { form.gpu_add(gpu_forms.get(), all, 0.3F, gpu_sum.get(), call); });
    EXPECT_TRUE(same_bits(gpu_sum.read(), sum));
  }
}

TEST_F(DeviceCompressionTest, ReportsWhatIsNotFiniteWhereverItIs) {
  constexpr std::int64_t kCount = 9000;
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    for (const std::size_t place : {0UL, 4500UL, 8999UL}) {
      SCOPED_TRACE(std::to_string(bad) + " at " + std::to_string(place));
      Floats gradient = gradient_of(kCount, "usual");
      gradient[place] = bad;
      const DeviceMemory<float> x(gradient), out(2 * kCount);
      auto* words = reinterpret_cast<std::uint32_t*>(out.get());
      auto* halves = reinterpret_cast<std::uint16_t*>(out.get());
      const std::vector<std::function<void(DeviceCall)>> calls = {
          [&](auto call) { gpu_->inspect(x.get(), kCount, call); },
          [&](auto call) { gpu_->threshold(x.get(), kCount, 0x3A83126F, words, call); },
          [&](auto call) { gpu_->largest_k(x.get(), kCount, 90, words, call); },
          [&](auto call) { gpu_->ternary_scale(x.get(), kCount, 0, out.get(), call); },
          [&](auto call) { gpu_->ternary_scale(x.get(), kCount, 2.5, out.get(), call); },
          [&](auto call) { gpu_->norms(x.get(), kCount, 512, out.get(), call); },
          [&](auto call) { gpu_->to_half(x.get(), kCount, halves, call); },
          [&](auto call) { gpu_->to_bf16(x.get(), kCount, halves, call); }};
      for (std::size_t i = 0; i < calls.size(); ++i)
        EXPECT_GE(run(kCount, calls[i]).largest, kInfinity) << "call " << i;
    }
  }
}

TEST_F(DeviceCompressionTest, OneReportMayWatchManyLayers) {
  const DeviceMemory<float> large(Floats{1, -8}), small(Floats{0.5F});
  const auto report = run(2, [&](auto call) {
    gpu_->inspect(large.get(), 2, call);
    gpu_->inspect(small.get(), 1, call);
  });
  EXPECT_EQ(std::bit_cast<float>(report.largest), 8);
}

}  // namespace
}  // namespace muster::workloads
