#include "workloads/common/compression/cost_model.hpp"

#include <gtest/gtest.h>

#include "tests/workloads/rank_threads.hpp"

namespace muster::workloads {
namespace {

const std::vector<Layer> kLayers{{"a", 0, 1000000, 1000}, {"b", 1, 2000, 1}};
LinkCost line(double latency, double seconds_per_byte) {
  return {{{0, latency}, {1e6, latency + 1e6 * seconds_per_byte}}};
}

const LinkCosts kSlow{line(1e-3, 8e-8), line(2e-3, 8e-8)};  // 100 Mbit/s

TEST(CostModel, AddsUpLatenciesBytesAndLoops) {
  const LoopCost loops{1e-9, 2e-9};
  const Prediction dense = predict({.method = "none"}, kSlow, loops, kLayers, 3, 2);
  EXPECT_DOUBLE_EQ(dense.bytes_sent, 4 * 1002000);
  EXPECT_NEAR(dense.exchange_seconds, 3 * 2e-3 + 4 * 1002000 * 8e-8, 1e-12);
  EXPECT_NEAR(dense.compress_seconds, 1.002e-3, 1e-12);
  EXPECT_NEAR(dense.decompress_seconds, 2.004e-3, 1e-12);
  const Prediction topk = predict({.method = "topk", .ratio = 0.01}, kSlow, loops, kLayers, 3, 4);
  EXPECT_DOUBLE_EQ(topk.bytes_sent, 3 * 8 * 10020);
  EXPECT_NEAR(topk.decompress_seconds, 4 * 2.004e-3, 1e-12) << "everyone's packed form is taken apart";
  const Prediction ternary = predict({.method = "terngrad"}, kSlow, loops, kLayers, 1, 2);
  EXPECT_DOUBLE_EQ(ternary.bytes_sent, 250000 + 500 + 8);
  EXPECT_NEAR(ternary.exchange_seconds, 2 * 1e-3 + (250000 + 500 + 8) * 8e-8, 1e-12);
  EXPECT_DOUBLE_EQ(predict({.method = "none"}, {}, loops, kLayers, 1, 1).bytes_sent, 0);
}

TEST(CostModel, FindsTheRatioFromWhichTopkCostsMore) {
  const LoopCost free;
  // 8 k bytes gathered by two ranks against 4 n summed: half the elements, less nothing else.
  const LinkCosts even{line(0, 8e-8), line(0, 8e-8)};
  const double dense = predict({.method = "none"}, even, free, kLayers, 1, 2).seconds();
  EXPECT_NEAR(break_even_ratio({.method = "topk"}, even, free, kLayers, 1, 2, dense), 0.5, 1e-5);
  EXPECT_NEAR(break_even_ratio({.method = "topk"}, even, free, kLayers, 1, 4, dense * 1.5), 0.25, 1e-5);
  EXPECT_EQ(break_even_ratio({.method = "topk"}, even, {1, 0}, kLayers, 1, 2, dense), 0);
  EXPECT_EQ(break_even_ratio({.method = "topk"}, even, free, kLayers, 1, 2, 3 * dense), 1);
}

TEST(CostModel, FollowsAConnectionThatIsNotStraight) {
  const LinkCost cost{{{1000, 0.001}, {4000, 0.002}, {16000, 0.026}}};
  EXPECT_DOUBLE_EQ(cost.seconds(10), 0.001);
  EXPECT_DOUBLE_EQ(cost.seconds(2500), 0.0015);
  EXPECT_DOUBLE_EQ(cost.seconds(4000), 0.002);
  EXPECT_DOUBLE_EQ(cost.seconds(10000), 0.014);
  EXPECT_DOUBLE_EQ(cost.seconds(28000), 0.050) << "the last line goes on";
  EXPECT_DOUBLE_EQ(LinkCost{}.seconds(1e9), 0);
  const LinkCosts link{cost, cost};
  EXPECT_DOUBLE_EQ(predict({.method = "none"}, link, {}, {{"a", 0, 5000, 1}}, 2, 2).exchange_seconds,
                   2 * 0.014)
      << "each bucket pays for its own size";
}

TEST(CostModel, CalibratesAConnectionAlikeOnEveryRank) {
  std::vector<LinkCosts> found(3);
  on_ranks(3, [&](Communicator& communicator) {
    found[static_cast<std::size_t>(communicator.rank())] =
        measure_link(communicator, ExchangeAlgorithm::ring, 100000);
  });
  for (const LinkCosts& costs : found) {
    ASSERT_EQ(costs.gather.points.size(), 5U) << "from 1 KiB to 256 KiB";
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(costs.gather.points[i].seconds, found[0].gather.points[i].seconds);
      EXPECT_EQ(costs.reduce.points[i].seconds, found[0].reduce.points[i].seconds);
      EXPECT_EQ(costs.gather.points[i].bytes, 2 * 1024.0 * (1 << (2 * i)));
    }
  }
  EXPECT_GT(found[0].gather.seconds(1e6), 0);
}

TEST(CostModel, TimesTheLoopsOfEveryMethod) {
  for (const std::string& method : compressor_names()) {
    const LoopCost cost = measure_loops({.method = method, .ratio = 0.01}, 1);
    EXPECT_GT(cost.compress, 1e-12) << method;
    EXPECT_GT(cost.decompress, 0) << method;
    EXPECT_LT(cost.compress + cost.decompress, 1e-6) << method;
  }
}

}  // namespace
}  // namespace muster::workloads
