/// Gangs on GPUs learn what gangs on CPUs learn.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <optional>
#include <string>

#include "tests/workloads/gpu/gang_of_test.hpp"
#include "tests/workloads/gpu/gpu_training.hpp"
#include "workloads/tensor_parallel/parameters.hpp"
#include "workloads/weight_averaging/parameters.hpp"

namespace muster::workloads {
namespace {

using testing::kOneGpu;

/// By host memory and by links between GPUs.
class GangsOnGpus : public testing::GpuTrainingTest {
 protected:
  void SetUp() override {
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    ranks_ = name.ends_with("OfFour") ? 4 : 2;
    GpuTrainingTest::SetUp();
  }

  void expect_as_on_cpus(const Task& t) {
    train(ranks_, {}, t, "cpu");
    const auto through_host = train(ranks_, kOneGpu, t, "gpu");
    const auto linked = train(ranks_, kOneGpu, t, "linked", {}, true);
    if (!testing::judges()) return;
    EXPECT_LT(distance("cpu", "gpu"), testing::kOtherOrder);
    EXPECT_LT(distance("cpu", "linked"), testing::kOtherOrder);
    EXPECT_GT(through_host.metrics.column("step", "payload_bytes").back(), 0);
    between_gpus_ = linked.between_gpus;
  }

  int ranks_ = 2;
  std::optional<std::uint64_t> between_gpus_;  ///< collectives of the newest linked training
};

TEST_F(GangsOnGpus, LearnByDdp) {
  expect_as_on_cpus(task());
  EXPECT_GT(between_gpus_.value_or(9), 8) << "more than one a step";
}

TEST_F(GangsOnGpus, LearnByDdpWithSynchronisedNormalisation) { expect_as_on_cpus(task({{"sync_bn", true}})); }

TEST_F(GangsOnGpus, SendByANamedAlgorithmThroughHostMemory) {
  expect_as_on_cpus(task({{"exchange.algorithm", "ring"}}));
}

/// Compressors take fp32 alone, so there are two steps, before rounding grows. All elements are kept, since
/// which are the largest is a matter of their last bits.
TEST_F(GangsOnGpus, LearnWithCompressedGradients) {
  for (const char* granularity : {"layerwise", "entire_model", "auto"}) {
    const Task t = task({{"precision", "fp32"},
                         {"data.samples", 48},
                         {"epochs", 1},
                         {"exchange.compressor", "topk"},
                         {"exchange.ratio", 1.0},
                         {"exchange.error_feedback", true},
                         {"exchange.momentum_correction", true},
                         {"exchange.granularity", granularity}});
    const std::string place = granularity;
    train(2, {}, t, place + "-cpu");
    const auto on_gpus = train(2, kOneGpu, t, place + "-gpu", {}, true);
    if (!testing::judges()) continue;
    EXPECT_LT(distance(place + "-cpu", place + "-gpu"), 1e6 * testing::kOtherOrder) << granularity;
    EXPECT_THAT(on_gpus.lines, ::testing::Contains(::testing::EndsWith(", on the GPU")));
  }
}

TEST_F(GangsOnGpus, LearnByWeightAveraging) {
  for (const char* algorithm : {"library", "ring"}) {
    expect_as_on_cpus(task_of("weight_averaging", weight_averaging_schema(),
                              {{"network", "resnet9"},
                               {"average.period", 3},
                               {"outer.momentum", 0.5},
                               {"bn.batches", 2},
                               {"exchange.algorithm", algorithm}}));
  }
}

TEST_F(GangsOnGpus, HoldANetworkInParts) {
  expect_as_on_cpus(
      task_of("tensor_parallel", tensor_parallel_schema(), {{"network", "resnet18"}, {"epochs", 1}}));
}

TEST_F(GangsOnGpus, LearnByFederatedRounds) {
  expect_as_on_cpus(task_of("tensor_parallel", tensor_parallel_schema(),
                            {{"network", "resnet18"}, {"mode", "federated"}, {"rebalance", true}}));
}

TEST_F(GangsOnGpus, HoldTwoNetworksInPartsOfFour) {
  expect_as_on_cpus(task_of("tensor_parallel", tensor_parallel_schema(),
                            {{"network", "resnet18"}, {"tp", 2}, {"epochs", 1}}));
}

TEST_F(GangsOnGpus, Resume) {
  train(2, kOneGpu, task(), "whole");
  const auto first = train(2, kOneGpu, task(), "stopped", [](std::int64_t step) {
    return step == 3 ? AfterStep::save_and_stop : AfterStep::go_on;
  });
  const auto second = train(2, kOneGpu, task(), "stopped");
  if (!testing::judges()) return;
  EXPECT_EQ(first.outcome, Outcome::stopped);
  EXPECT_EQ(second.outcome, Outcome::finished);
  EXPECT_LT(distance("whole", "stopped"), testing::kOtherOrder);
}

}  // namespace
}  // namespace muster::workloads
