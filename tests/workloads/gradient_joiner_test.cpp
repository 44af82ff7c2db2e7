#include "workloads/common/compression/gradient_joiner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <random>

#include "core/error.hpp"
#include "tests/workloads/rank_threads.hpp"

namespace muster::workloads {
namespace {

using Gradients = std::vector<float>;  // of all layers, one after the other

std::vector<Layer> layers(const std::vector<std::int64_t>& sizes = {1728, 64, 40000, 1, 513}) {
  std::vector<Layer> all;
  for (const std::int64_t size : sizes) {
    all.push_back({"layer" + std::to_string(all.size()), static_cast<std::uint32_t>(all.size()), size,
                   size % 64 == 0 ? size / 64 : 1});
  }
  return all;
}

std::int64_t elements(const std::vector<Layer>& of) {
  return std::accumulate(of.begin(), of.end(), std::int64_t{0},
                         [](std::int64_t sum, const Layer& layer) { return sum + layer.elements; });
}

Gradients gradients(const std::vector<Layer>& of, int rank, int step) {
  std::mt19937 random(static_cast<unsigned>(1000 * rank + step));
  std::normal_distribution<float> normal(0, 0.002F);
  Gradients values(static_cast<std::size_t>(elements(of)));
  for (float& value : values) value = normal(random);
  return values;
}

/// The layers in groups of `together`, from the last to the first as a backward pass makes them ready.
void join(GradientJoiner& joiner, Gradients& values, std::size_t together = 100) {
  std::vector<std::vector<ReadyGradient>> groups;
  float* place = values.data();
  for (std::size_t i = 0; i < joiner.layers().size(); ++i) {
    if (i % together == 0) groups.emplace_back();
    groups.back().push_back({i, place});
    place += joiner.layers()[i].elements;
  }
  for (auto group = groups.rbegin(); group != groups.rend(); ++group) joiner.join(*group);
}

struct Case {
  std::string method;
  CompressedTransport transport = CompressedTransport::packed;
  bool error_feedback = false;
  ExchangeAlgorithm algorithm = ExchangeAlgorithm::ring;
  double momentum = 0;
  double ratio = 0.05;
  std::size_t together = 100;
};

JoinOptions options_of(const Case& given) {
  JoinOptions options;
  options.compressor.method = given.method;
  options.compressor.ratio = given.ratio;
  options.transport = given.transport;
  options.error_feedback = given.error_feedback;
  options.algorithm = given.algorithm;
  options.momentum = given.momentum;
  options.seed = 77;
  return options;
}

/// What `steps` steps leave on each rank, joined together; and rank 0's figures of the last.
struct Outcome {
  std::vector<std::vector<Gradients>> of_rank;
  std::vector<StepCompression> figures;
};

Outcome run(const Case& given, int ranks, int steps = 3) {
  Outcome outcome{.of_rank = std::vector<std::vector<Gradients>>(static_cast<std::size_t>(ranks)),
                  .figures = std::vector<StepCompression>(static_cast<std::size_t>(ranks))};
  on_ranks(ranks, [&](Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    GradientJoiner joiner(communicator, layers(), options_of(given));
    for (int step = 0; step < steps; ++step) {
      joiner.begin_step(step, given.ratio, true);
      Gradients values = gradients(joiner.layers(), communicator.rank(), step);
      join(joiner, values, given.together);
      outcome.of_rank[rank].push_back(values);
    }
    outcome.figures[rank] = joiner.figures();
  });
  return outcome;
}

bool same_bits(const Gradients& a, const Gradients& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

class Joined : public testing::TestWithParam<std::tuple<std::string, int>> {
 protected:
  std::string method() const { return std::get<0>(GetParam()); }
  int ranks() const { return std::get<1>(GetParam()); }
};
std::string case_name(const testing::TestParamInfo<std::tuple<std::string, int>>& info) {
  return std::get<0>(info.param) + "_" + std::to_string(std::get<1>(info.param));
}
INSTANTIATE_TEST_SUITE_P(MethodsAndRanks, Joined,
                         testing::Combine(testing::ValuesIn(compressor_names()), testing::Values(1, 2, 3, 4)),
                         case_name);

/// Methods whose packed forms can be told from their own rank alone.
class JoinedRankByRank : public Joined {};
INSTANTIATE_TEST_SUITE_P(MethodsAndRanks, JoinedRankByRank,
                         testing::Combine(testing::Values("none", "fp16", "bf16", "topk", "randomk",
                                                          "thresholdv", "terngrad", "qsgd"),
                                          testing::Values(1, 2, 3, 4)),
                         case_name);

/// Methods whose sums are not rounded to 16 bits on the way.
class JoinedExactly : public Joined {};
INSTANTIATE_TEST_SUITE_P(MethodsAndRanks, JoinedExactly,
                         testing::Combine(testing::Values("none", "topk", "randomk", "thresholdv", "terngrad",
                                                          "qsgd"),
                                          testing::Values(1, 2, 3, 4)),
                         case_name);

TEST_P(JoinedRankByRank, IsTheMeanOfWhatEachRanksPackedFormStandsFor) {
  const Outcome outcome = run({.method = method()}, ranks(), 1);
  std::vector<double> expected(outcome.of_rank[0][0].size());
  std::vector<std::unique_ptr<Compressor>> compressors;
  for (int r = 0; r < ranks(); ++r) {
    compressors.push_back(make_compressor(options_of({.method = method()}).compressor, 77, r));
    compressors.back()->begin_step(0, 0.05);
  }
  std::size_t place = 0;
  for (const Layer& layer : layers()) {
    float scale = 0;
    for (int r = 0; r < ranks(); ++r) {
      const Gradients values = gradients(layers(), r, 0);
      scale =
          std::max(scale, compressors[static_cast<std::size_t>(r)]->own_scale(layer, values.data() + place));
    }
    for (int r = 0; r < ranks(); ++r) {
      const Gradients values = gradients(layers(), r, 0);
      PackedBuffer packed;
      Compressor& compressor = *compressors[static_cast<std::size_t>(r)];
      compressor.compress(layer, values.data() + place, scale, packed);
      Gradients dense(static_cast<std::size_t>(layer.elements));
      compressor.decompress_add(layer, packed.part(0, packed.size()), scale, 1, dense.data());
      for (std::size_t i = 0; i < dense.size(); ++i) {
        expected[place + i] += static_cast<double>(dense[i]) / ranks();
      }
    }
    place += static_cast<std::size_t>(layer.elements);
  }
  // fp16 and bf16 are rounded at each of the sum's additions: 2^-11 and 2^-8 of the largest sum on the way.
  const double rounding = method() == "bf16"   ? 0.008 * 4 * 0.004
                          : method() == "fp16" ? 0.001 * 4 * 0.004
                                               : 1e-8;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    ASSERT_NEAR(outcome.of_rank[0][0][i], expected[i], rounding) << "element " << i;
  }
}

TEST_P(Joined, IsTheSameOnEveryRank) {
  const Outcome outcome = run({.method = method(), .error_feedback = true}, ranks());
  for (const auto& of_rank : outcome.of_rank) {
    for (std::size_t step = 0; step < of_rank.size(); ++step) {
      EXPECT_TRUE(same_bits(of_rank[step], outcome.of_rank[0][step])) << "step " << step;
    }
  }
}

TEST_P(Joined, DependsOnNeitherBucketsNorTheirNumber) {
  Case given{.method = method(), .error_feedback = true, .algorithm = ExchangeAlgorithm::library};
  const Outcome whole = run(given, ranks());
  for (const std::size_t together : {1U, 2U, 3U}) {
    given.together = together;
    const Outcome parted = run(given, ranks());
    for (std::size_t step = 0; step < 3; ++step) {
      EXPECT_TRUE(same_bits(parted.of_rank[0][step], whole.of_rank[0][step]))
          << together << ", step " << step;
    }
  }
}

TEST_P(JoinedExactly, PackedAndDenseTransportGiveTheSameBits) {
  for (const bool error_feedback : {false, true}) {
    Case given{.method = method(), .error_feedback = error_feedback, .algorithm = ExchangeAlgorithm::library};
    const Outcome packed = run(given, ranks());
    given.transport = CompressedTransport::dense;
    const Outcome dense = run(given, ranks());
    for (std::size_t step = 0; step < 3; ++step) {
      EXPECT_TRUE(same_bits(packed.of_rank[0][step], dense.of_rank[0][step])) << "step " << step;
    }
  }
}

TEST_P(Joined, PutsAsManyBytesOnTheWireAsTheClosedFormSays) {
  for (const auto algorithm :
       {ExchangeAlgorithm::ring, ExchangeAlgorithm::tree, ExchangeAlgorithm::parameter_server}) {
    for (const auto transport : {CompressedTransport::packed, CompressedTransport::dense}) {
      if (method() == "powersgd" && transport == CompressedTransport::dense) continue;
      for (const std::size_t together : {1U, 100U}) {
        const Outcome outcome =
            run({.method = method(), .transport = transport, .algorithm = algorithm, .together = together},
                ranks(), 1);
        for (const StepCompression& figures : outcome.figures) {
          EXPECT_EQ(figures.counted, figures.closed_form)
              << figures.counted.sent << " sent, closed form " << figures.closed_form.sent;
          EXPECT_EQ(figures.counted.sent > 0, ranks() > 1);
        }
      }
    }
  }
}

/// What is never sent is not lost: updates and the ranks' mean residual add up to the gradients.
TEST_P(Joined, LosesNothingWithErrorFeedback) {
  constexpr int kSteps = 4;
  std::vector<double> left(static_cast<std::size_t>(elements(layers())));
  std::mutex mutex;
  on_ranks(ranks(), [&](Communicator& communicator) {
    GradientJoiner joiner(communicator, layers(), options_of({.method = method(), .error_feedback = true}));
    for (int step = 0; step < kSteps; ++step) {
      joiner.begin_step(step, 0.05, false);
      Gradients values = gradients(joiner.layers(), communicator.rank(), step);
      const Gradients given = values;
      join(joiner, values);
      const std::lock_guard lock(mutex);
      for (std::size_t i = 0; i < left.size(); ++i) {
        left[i] += static_cast<double>(given[i]) / ranks() - static_cast<double>(values[i]) / ranks();
      }
    }
    const std::lock_guard lock(mutex);
    std::size_t place = 0;
    for (const auto& [name, values] : joiner.state()) {
      if (!name.starts_with("residual.")) continue;
      for (const float value : values) left[place++] -= static_cast<double>(value) / ranks();
    }
    EXPECT_EQ(place, left.size());
  });
  const double rounding = method() == "bf16"       ? 2e-4
                          : method() == "fp16"     ? 2e-5
                          : method() == "terngrad" ? 1e-5
                                                   : 1e-6;
  for (std::size_t i = 0; i < left.size(); ++i) ASSERT_NEAR(left[i], 0, rounding) << "element " << i;
}

TEST_P(Joined, GoesOnBitForBitFromItsState) {
  const Case given{.method = method(), .error_feedback = true, .algorithm = ExchangeAlgorithm::library};
  const Outcome whole = run(given, ranks(), 6);
  on_ranks(ranks(), [&](Communicator& communicator) {
    std::map<std::string, std::vector<float>> saved;
    for (const auto& [from, to] : {std::pair{0, 4}, std::pair{4, 6}}) {
      GradientJoiner joiner(communicator, layers(), options_of(given));
      for (const auto& [name, values] : joiner.state()) {
        if (from > 0) std::ranges::copy(saved.at(name), values.begin());
      }
      for (int step = from; step < to; ++step) {
        joiner.begin_step(step, given.ratio, false);
        Gradients values = gradients(joiner.layers(), communicator.rank(), step);
        join(joiner, values);
        EXPECT_TRUE(same_bits(values, whole.of_rank[0][static_cast<std::size_t>(step)])) << "step " << step;
      }
      for (const auto& [name, values] : joiner.state()) saved[name].assign(values.begin(), values.end());
    }
  });
}

/// PowerSGD is linear in the gradients: ranks that average factors do as one rank with the mean gradient.
TEST(GradientJoiner, AveragesPowerSgdsFactorsAsIfTheGradientsWereAveragedFirst) {
  const Outcome outcome = run({.method = "powersgd"}, 3, 2);
  on_ranks(1, [&](Communicator& communicator) {
    GradientJoiner joiner(communicator, layers(), options_of({.method = "powersgd"}));
    for (int step = 0; step < 2; ++step) {
      joiner.begin_step(step, 1, false);
      Gradients mean(static_cast<std::size_t>(elements(layers())));
      for (int r = 0; r < 3; ++r) {
        const Gradients values = gradients(layers(), r, step);
        for (std::size_t i = 0; i < mean.size(); ++i) mean[i] += values[i] / 3;
      }
      join(joiner, mean);
      for (std::size_t i = 0; i < mean.size(); ++i) {
        ASSERT_NEAR(outcome.of_rank[0][static_cast<std::size_t>(step)][i], mean[i], 1e-7) << i;
      }
    }
  });
}

TEST(GradientJoiner, MeasuresWhatCompressionLeavesOut) {
  const Outcome outcome = run({.method = "topk", .ratio = 0.25}, 2, 1);
  const Gradients values = gradients(layers(), 0, 0);
  std::vector<double> squares;
  for (std::int64_t i = 0; i < 1728; ++i) {
    squares.push_back(std::pow(static_cast<double>(values[static_cast<std::size_t>(i)]), 2));
  }
  std::sort(squares.begin(), squares.end());
  const double left = std::accumulate(squares.begin(), squares.begin() + 1296, 0.0);
  const double all = std::accumulate(squares.begin(), squares.end(), 0.0);
  const LayerFigures& figures = outcome.figures[0].layers[0];
  EXPECT_NEAR(figures.error, std::sqrt(left / all), 1e-6);
  EXPECT_EQ(figures.kept, 432);
  EXPECT_EQ(figures.packed_bytes, 432 * 8);
  EXPECT_NEAR(run({.method = "none"}, 2, 1).figures[0].error, 0, 0);
}

/// 24 convolutions' and norms' parameters of ResNet-9, and its linear layer.
std::vector<Layer> resnet9() {
  std::vector<std::int64_t> sizes;
  for (const auto& [in, out] : {std::pair{3, 64},
                                {64, 128},
                                {128, 128},
                                {128, 128},
                                {128, 256},
                                {256, 512},
                                {512, 512},
                                {512, 512}}) {
    sizes.insert(sizes.end(), {9L * in * out, out, out});
  }
  sizes.push_back(5120);
  return layers(sizes);
}

TEST(GradientJoiner, SendsOfResNet9WhatThePaperAndPencilSay) {
  const std::vector<Layer> of = resnet9();
  ASSERT_EQ(elements(of), 6573120);
  ASSERT_EQ(of.size(), 25U);
  std::int64_t one_percent = 0, ternary = 0;
  for (const Layer& layer : of) {
    one_percent += std::max<std::int64_t>(1, layer.elements / 100);
    ternary += (2 * layer.elements + 7) / 8 + 4;
  }
  const std::map<std::string, std::int64_t> expected{
      {"none", 26292480},           {"fp16", 13146240},    {"topk", 8 * one_percent},
      {"randomk", 4 * one_percent}, {"terngrad", ternary}, {"qsgd", 6573120 / 8 * 9 + 25 * 4}};
  on_ranks(2, [&](Communicator& communicator) {
    for (const auto& [method, bytes] : expected) {
      GradientJoiner joiner(communicator, of, options_of({.method = method, .ratio = 0.01}));
      Gradients values = gradients(of, communicator.rank(), 0);
      join(joiner, values);
      // Two ranks' ring cuts an odd number of values unevenly: one element more or less.
      EXPECT_NEAR(static_cast<double>(joiner.figures().counted.sent), static_cast<double>(bytes), 4)
          << method;
    }
  });
}

/// Lin et al.'s algorithm, written down plainly for one rank.
TEST(GradientJoiner, CorrectsMomentumAsDeepGradientCompressionDoes) {
  const std::vector<Layer> one = layers({1000});
  for (const bool nesterov : {false, true}) {
    std::vector<double> velocity(1000), residual(1000);
    on_ranks(1, [&](Communicator& communicator) {
      JoinOptions options = options_of({.method = "topk", .error_feedback = true, .momentum = 0.9});
      options.nesterov = nesterov;
      GradientJoiner joiner(communicator, one, options);
      for (int step = 0; step < 6; ++step) {
        joiner.begin_step(step, 0.05, false);
        Gradients values = gradients(one, 0, step);
        for (std::size_t i = 0; i < 1000; ++i) {
          const auto g = static_cast<double>(values[i]);
          velocity[i] = 0.9 * velocity[i] + g;
          residual[i] += nesterov ? g + 0.9 * velocity[i] : velocity[i];
        }
        std::vector<std::size_t> order(1000);
        std::iota(order.begin(), order.end(), 0U);
        std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
          return std::abs(residual[a]) > std::abs(residual[b]);
        });
        join(joiner, values);
        std::vector<double> sent(1000);
        for (std::size_t i = 0; i < 50; ++i) {
          sent[order[i]] = residual[order[i]];
          residual[order[i]] = velocity[order[i]] = 0;
        }
        for (std::size_t i = 0; i < 1000; ++i) ASSERT_NEAR(values[i], sent[i], 1e-7) << step << ", " << i;
      }
    });
  }
}

TEST(GradientJoiner, NamesTheLayerThatIsNotFinite) {
  for (const std::string& method : compressor_names()) {
    on_ranks(1, [&](Communicator& communicator) {
      GradientJoiner joiner(communicator, layers(), options_of({.method = method}));
      Gradients values = gradients(joiner.layers(), 0, 0);
      values[1728 + 10] = std::numeric_limits<float>::quiet_NaN();
      try {
        join(joiner, values);
        ADD_FAILURE() << method << " took it";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::diverged);
        EXPECT_THAT(error.problem(), testing::HasSubstr("layer1 is NaN")) << method;
      }
    });
  }
}

TEST(GradientJoiner, RefusesOptionsThatDoNotGoTogether) {
  const auto refused = [](const Case& given) {
    EXPECT_THROW(on_ranks(1,
                          [&](Communicator& communicator) {
                            GradientJoiner(communicator, layers(), options_of(given));
                          }),
                 Error)
        << given.method;
  };
  refused({.method = "best"});
  refused({.method = "topk", .ratio = 0});
  refused({.method = "randomk", .ratio = 1.5});
  refused({.method = "powersgd", .transport = CompressedTransport::dense});
  refused({.method = "topk", .momentum = 0.9});
  refused({.method = "qsgd", .error_feedback = true, .momentum = 0.9});
}

}  // namespace
}  // namespace muster::workloads
