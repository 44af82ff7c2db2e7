#include "runner/gpu_metrics.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace muster {
namespace {

RankBinding rank_on(const std::string& host, int rank, const std::vector<std::string>& uuids) {
  RankBinding binding;
  binding.rank = rank;
  binding.host = host;
  for (const std::string& uuid : uuids) {
    BoundGpu gpu{.name = uuid};
    gpu.seen = uuid.starts_with("GPU-");
    if (gpu.seen) gpu.uuid = uuid;
    binding.gpus.push_back(gpu);
  }
  return binding;
}

/// "RANK.GPU UUID" of each, a blank between.
std::string sampled(const std::vector<RankBinding>& ranks, int own) {
  std::string text;
  for (const SampledGpu& gpu : gpus_to_sample(ranks, own))
    text += std::to_string(gpu.rank) + "." + std::to_string(gpu.gpu) + " " + gpu.uuid + " ";
  return text;
}

TEST(GpuMetrics, TheFirstRankOfAHostReadsEachOfItsGpusOnce) {
  const std::vector<RankBinding> ranks{rank_on("a", 0, {"GPU-1", "GPU-2"}), rank_on("b", 1, {"GPU-5"}),
                                       rank_on("a", 2, {"GPU-2", "GPU-3"}), rank_on("b", 3, {"GPU-5"})};
  EXPECT_EQ(sampled(ranks, 0), "0.0 GPU-1 0.1 GPU-2 2.1 GPU-3 ");
  EXPECT_EQ(sampled(ranks, 1), "1.0 GPU-5 ");
  EXPECT_EQ(sampled(ranks, 2), "");
  EXPECT_EQ(sampled(ranks, 3), "");
}

TEST(GpuMetrics, NothingIsReadWhereNoGpuIsSeen) {
  const std::vector<RankBinding> ranks{rank_on("a", 0, {"0"}), rank_on("a", 1, {"1"})};
  EXPECT_EQ(sampled(ranks, 0), "");
  EXPECT_EQ(GpuMetrics::of_gang(ranks, 0), nullptr);
}

TEST(GpuTally, CountsEnergyFromTheFirstReadingAndKeepsThePeak) {
  GpuTally tally({3, 1, "GPU-1"});
  EXPECT_EQ(tally.add({.memory_used = 100, .utilisation = 0.5, .power = 300, .energy = 5000}, 0).energy, 0);
  tally.add({.memory_used = 900, .energy = 5300}, 1);
  const GpuSample last = tally.add({.memory_used = 200, .energy = 5450.5}, 2);
  EXPECT_EQ(last.rank, 3);
  EXPECT_EQ(last.gpu, 1);
  EXPECT_EQ(last.seconds, 2);
  EXPECT_EQ(last.memory_used, 200);
  EXPECT_EQ(last.energy, 450.5);
  EXPECT_EQ(tally.total().memory_peak, 900);
  EXPECT_EQ(tally.total().energy, 450.5);
  EXPECT_EQ(tally.total().seconds, 2);
}

TEST(GpuTally, WhatAGpuDoesNotTellIsNotANumber) {
  GpuTally tally({0, 0, "MIG-1"});
  const GpuSample sample = tally.add({.memory_used = 100}, 1);
  EXPECT_TRUE(std::isnan(sample.utilisation) && std::isnan(sample.power) && std::isnan(sample.energy));
  tally.add({}, 2);
  EXPECT_EQ(tally.total().memory_peak, 100);
  EXPECT_TRUE(std::isnan(tally.total().energy));
}

TEST(GpuTables, HaveAColumnForEachValueOfARow) {
  ASSERT_EQ(gpu_tables().size(), 2U);
  EXPECT_EQ(gpu_tables()[0].columns.size(), row_of(GpuSample{}).size());
  EXPECT_EQ(gpu_tables()[1].columns.size(), row_of(GpuTotal{}).size());
}

}  // namespace
}  // namespace muster
