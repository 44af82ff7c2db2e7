#include "workloads/common/sampling.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "core/error.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {
namespace {

std::vector<std::int64_t> global_batch(std::int64_t samples, std::int64_t batch, int ranks,
                                       std::int64_t epoch, std::int64_t step) {
  std::vector<std::int64_t> all;
  for (int rank = 0; rank < ranks; ++rank) {
    ShardedSampler sampler(samples, batch, 7, rank, ranks);
    const auto part = sampler.batch(epoch, step);
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

// Known answers of the Random123 distribution (kat_vectors, philox4x32 10 rounds), with our word order.
TEST(CounterRandom, IsPhilox) {
  const auto zero = CounterRandom(0, static_cast<RandomStream>(0)).draw(0, 0, 0);
  EXPECT_THAT(zero, ::testing::ElementsAre(0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U));
  const auto ones = CounterRandom(~std::uint64_t{0}, static_cast<RandomStream>(0xffffffff))
                        .draw(0xffffffff, 0xffffffff, 0xffffffff);
  EXPECT_THAT(ones, ::testing::ElementsAre(0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU));
}

TEST(ShardedSampler, GlobalBatchesDoNotDependOnTheRanks) {
  for (const std::int64_t step : {0, 3, 9}) {
    const auto alone = global_batch(130, 12, 1, 2, step);
    EXPECT_EQ(global_batch(130, 12, 2, 2, step), alone);
    EXPECT_EQ(global_batch(130, 12, 3, 2, step), alone);
    EXPECT_EQ(global_batch(130, 12, 4, 2, step), alone);
  }
}

TEST(ShardedSampler, AnEpochSeesNoSampleTwiceAndLeavesOutLessThanABatch) {
  ShardedSampler sampler(130, 12, 7, 0, 1);
  EXPECT_EQ(sampler.steps_per_epoch(), 10);
  std::set<std::int64_t> seen;
  for (std::int64_t step = 0; step < 10; ++step) {
    for (const auto sample : sampler.batch(0, step)) EXPECT_TRUE(seen.insert(sample).second);
  }
  EXPECT_EQ(seen.size(), 120U);
}

TEST(ShardedSampler, UnevenPartsMakeUpTheSameGlobalBatches) {
  const BatchSplit split = split_by_shares(12, {1, 3, 2});
  EXPECT_THAT(split.batches, ::testing::ElementsAre(2, 6, 4));
  for (const std::int64_t step : {0, 9}) {
    std::vector<std::int64_t> all;
    for (int rank = 0; rank < 3; ++rank) {
      ShardedSampler sampler(130, split, 7, rank);
      const auto part = sampler.batch(2, step);
      all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(all, global_batch(130, 12, 1, 2, step));
  }
}

TEST(ShardedSampler, AFixedSplitGivesEachRankItsOwnSamplesInAllEpochs) {
  BatchSplit split = split_by_shares(12, {1, 3, 2});
  split.fixed = true;
  std::vector<std::set<std::int64_t>> seen(3);
  std::vector<std::vector<std::int64_t>> orders;
  for (int rank = 0; rank < 3; ++rank) {
    ShardedSampler sampler(131, split, 7, rank);
    EXPECT_EQ(sampler.steps_per_epoch(), 10);
    for (std::int64_t epoch = 0; epoch < 40; ++epoch) {
      std::vector<std::int64_t> order;
      for (std::int64_t step = 0; step < 10; ++step) {
        const auto part = sampler.batch(epoch, step);
        order.insert(order.end(), part.begin(), part.end());
      }
      EXPECT_EQ(std::set(order.begin(), order.end()).size(), order.size()) << "twice in an epoch";
      seen[static_cast<std::size_t>(rank)].insert(order.begin(), order.end());
      if (rank == 0 && epoch < 2) orders.push_back(order);
    }
  }
  EXPECT_NE(orders[0], orders[1]);
  std::set<std::int64_t> all;
  std::size_t sizes = 0;
  for (const auto& part : seen) {
    all.insert(part.begin(), part.end());
    sizes += part.size();
  }
  EXPECT_EQ(all.size(), 131U);
  EXPECT_EQ(sizes, 131U) << "two ranks share a sample";
}

TEST(SplitByShares, GivesWholeSamplesToAll) {
  EXPECT_THAT(split_by_shares(10, {1, 1, 1}).batches, ::testing::ElementsAre(4, 3, 3));
  EXPECT_THAT(split_by_shares(8, {0.5, 0.25}).batches, ::testing::ElementsAre(5, 3));
  EXPECT_THROW(split_by_shares(10, {1, 0}), Error);
  EXPECT_THROW(split_by_shares(2, {1, 1, 1}), Error);
}

TEST(ShardedSampler, EpochsAndSeedsHaveOrdersOfTheirOwn) {
  EXPECT_NE(epoch_order(100, 7, 0), epoch_order(100, 7, 1));
  EXPECT_NE(epoch_order(100, 7, 0), epoch_order(100, 8, 0));
  EXPECT_EQ(epoch_order(100, 7, 5), epoch_order(100, 7, 5));
}

TEST(ShardedSampler, RefusesBatchesThatCannotBeShared) {
  EXPECT_THROW(ShardedSampler(100, 10, 0, 0, 3), Error);
  EXPECT_THROW(ShardedSampler(100, 128, 0, 0, 2), Error);
  EXPECT_THROW(ShardedSampler(100, 0, 0, 0, 1), Error);
}

TEST(EvaluationShard, CoversEverySampleOnce) {
  for (int ranks = 1; ranks <= 5; ++ranks) {
    std::int64_t next = 0;
    for (int rank = 0; rank < ranks; ++rank) {
      const auto shard = evaluation_shard(1017, rank, ranks);
      EXPECT_EQ(shard.begin, next);
      EXPECT_GE(shard.end - shard.begin, 1017 / ranks);
      next = shard.end;
    }
    EXPECT_EQ(next, 1017);
  }
}

}  // namespace
}  // namespace muster::workloads
