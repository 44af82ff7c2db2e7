#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"
#include "tests/workloads/gpu/weights_distance.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/ddp/training.hpp"
#include "workloads/evaluate/evaluation_task.hpp"
#include "workloads/tensor_parallel/parameters.hpp"
#include "workloads/tensor_parallel/training.hpp"
#include "workloads/weight_averaging/parameters.hpp"
#include "workloads/weight_averaging/training.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using testing::kOneGpu;

class GpuTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = testing::missing_gpus(1);
    if (!missing.empty()) GTEST_SKIP() << missing;
    torch::set_num_threads(1);
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = fs::temp_directory_path() / ("muster-gpu-" + name + "-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override {
    if (!folder_.empty()) fs::remove_all(folder_);
  }

  /// A slim ResNet-9 in fp64, 4 steps an epoch.
  static Task task(const Parameters& more = {}) {
    Parameters given{{"exchange.bucket_mb", 0.05}};
    for (const auto& [name, value] : more) given[name] = value;
    return task_of("ddp", ddp_schema(), given);
  }
  static Task task_of(const std::string& workload, const WorkloadSchema& schema, const Parameters& more) {
    Parameters given{{"width", 0.125}, {"data.samples", 96}, {"data.test_samples", 30},
                     {"epochs", 2},    {"batch", 24},        {"precision", "fp64"},
                     {"lr", 0.05}};
    for (const auto& [name, value] : more) given[name] = value;
    Task result;
    result.workload = workload;
    result.parameters = resolve_parameters(schema, given, {});
    return result;
  }

  static Outcome run(Context& context) {
    const std::string& workload = context.task().workload;
    if (workload == "tensor_parallel") return train_tensor_parallel(context);
    if (workload == "weight_averaging") return train_by_averaging(context);
    return train_ddp(context);
  }

  struct Result {
    Outcome outcome = Outcome::finished;
    MemoryMetrics metrics;  ///< rank 0's
    std::vector<std::string> lines;
  };

  Result train(int ranks, const Device& device, const Task& t, const std::string& place,
               const std::function<AfterStep(std::int64_t)>& after = {}, bool linked = false) {
    Result result;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / place, after);
      context.computes_on = device;
      context.computes_on.index = communicator.rank();
      const auto links = linked ? testing::links_between_gpus(communicator) : nullptr;
      context.between_gpus = links.get();
      const Outcome outcome = run(context);
      if (communicator.rank() == 0) result = {outcome, context.recorded, context.lines};
    });
    return result;
  }

  double distance(const std::string& one, const std::string& other) const {
    return testing::distance_of_weights(folder_ / one / "final.safetensors",
                                        folder_ / other / "final.safetensors");
  }

  fs::path folder_;
};

/// Of channels-last images.
torch::Tensor bytes_of(const torch::Tensor& images) {
  return images.cpu().permute({0, 2, 3, 1}).contiguous().view(torch::kUInt8);
}

TEST_F(GpuTrainingTest, AGpuMakesTheSameBatchesBitForBit) {
  const Dataset data = load_dataset({.path = "synthetic", .samples = 64, .test_samples = 30, .classes = 10});
  const torch::Device gpu = compute_device(kOneGpu);
  const ImageSet there = data.train.on(gpu);
  std::vector<std::int64_t> samples(64);
  std::iota(samples.rbegin(), samples.rend(), 0);
  const std::vector<AugmentationOptions> options{
      {},
      {.crop_padding = 0, .flip = false, .cutout = 0},
      {.crop_padding = 16, .cutout = 32},
      {.crop_padding = 2, .cutout = 0, .alternate_flip = true, .reflect = true},
      {.crop_padding = 4, .cutout = 5, .reflect = true}};
  for (std::size_t i = 0; i < options.size(); ++i) {
    for (const auto type : {torch::kFloat32, torch::kFloat64, torch::kBFloat16}) {
      const BatchMaker batches(channel_statistics(data.train), type, 3, options[i]);
      for (const std::int64_t epoch : {0, 1}) {
        const auto wanted = batches.training_batch(data.train, samples, epoch);
        const auto made = batches.training_batch(there, samples, epoch);
        EXPECT_EQ(made.device(), gpu);
        EXPECT_EQ(made.strides(), wanted.strides());
        EXPECT_TRUE(torch::equal(bytes_of(made), bytes_of(wanted)))
            << "options " << i << ", " << type << ", epoch " << epoch;
      }
      EXPECT_TRUE(torch::equal(batches.evaluation_batch(there, 5, 17).cpu(),
                               batches.evaluation_batch(data.train, 5, 17)));
    }
  }
}

TEST_F(GpuTrainingTest, LearnsOnAGpuWhatItLearnsOnACpu) {
  const auto on_cpu = train(1, {}, task(), "cpu");
  const auto on_gpu = train(1, kOneGpu, task(), "gpu");
  train(1, {}, task({{"precision", "fp32"}}), "fp32");
  EXPECT_LT(distance("cpu", "gpu"), testing::kOtherOrder);
  EXPECT_GT(distance("cpu", "fp32"), 1e4 * testing::kOtherOrder);
  for (const auto& [table, column] : {std::pair{"epoch", "train_loss"}, {"epoch", "test_loss"}}) {
    const auto wanted = on_cpu.metrics.column(table, column);
    const auto found = on_gpu.metrics.column(table, column);
    ASSERT_EQ(found.size(), wanted.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 1e-9 * wanted[i]);
  }
  EXPECT_THAT(on_gpu.lines, ::testing::Contains(::testing::HasSubstr("on GPUs")));
  EXPECT_THAT(on_cpu.lines, ::testing::Not(::testing::Contains(::testing::HasSubstr("on GPUs"))));
}

/// Every part of a fast recipe, AdamW aside.
TEST_F(GpuTrainingTest, LearnsAFastRecipeOnAGpu) {
  const Task t = task({{"network", "airbench94"},
                       {"momentum", 0.85},
                       {"bias_lr_factor", 64.0},
                       {"lookahead.every", 3},
                       {"augment.crop", 2},
                       {"augment.alternate_flip", true},
                       {"augment.padding", "reflect"},
                       {"label_smoothing", 0.2},
                       {"evaluate_views", "mirror+translate"},
                       {"lr", 0.02}});
  const auto on_cpu = train(1, {}, t, "cpu");
  const auto on_gpu = train(1, kOneGpu, t, "gpu");
  EXPECT_LT(distance("cpu", "gpu"), testing::kOtherOrder);
  EXPECT_NEAR(on_gpu.metrics.column("epoch", "test_loss").back(),
              on_cpu.metrics.column("epoch", "test_loss").back(), 1e-8);
}

/// On two ranks, by host memory and by links between GPUs.
class GangsOnGpus : public GpuTrainingTest {
 protected:
  void SetUp() override {
    GpuTrainingTest::SetUp();
    const std::string missing = testing::missing_gpus(4);
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  int linked_ = 0;  ///< collectives of the newest linked training

  void expect_as_on_cpus(const Task& t, int ranks = 2) {
    train(ranks, {}, t, "cpu");
    const auto through_host = train(ranks, kOneGpu, t, "gpu");
    EXPECT_LT(distance("cpu", "gpu"), testing::kOtherOrder);
    EXPECT_GT(through_host.metrics.column("step", "payload_bytes").back(), 0);
    const int before = testing::collectives_between_gpus();
    train(ranks, kOneGpu, t, "linked", {}, true);
    EXPECT_LT(distance("cpu", "linked"), testing::kOtherOrder);
    linked_ = testing::collectives_between_gpus() - before;
  }
};

TEST_F(GangsOnGpus, LearnByDdp) {
  expect_as_on_cpus(task());
  EXPECT_GT(linked_, 2 * 8);  // More than one a step on each rank.
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
    train(2, {}, t, "cpu");
    train(2, kOneGpu, t, "gpu", {}, true);
    EXPECT_LT(distance("cpu", "gpu"), 1e6 * testing::kOtherOrder) << granularity;
    fs::remove_all(folder_);
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

TEST_F(GangsOnGpus, HoldTwoNetworksInParts) {
  expect_as_on_cpus(task_of("tensor_parallel", tensor_parallel_schema(),
                            {{"network", "resnet18"}, {"tp", 2}, {"epochs", 1}}),
                    4);
}

TEST_F(GangsOnGpus, Resume) {
  train(2, kOneGpu, task(), "whole");
  const auto first = train(2, kOneGpu, task(), "stopped", [](std::int64_t step) {
    return step == 3 ? AfterStep::save_and_stop : AfterStep::go_on;
  });
  EXPECT_EQ(first.outcome, Outcome::stopped);
  EXPECT_EQ(train(2, kOneGpu, task(), "stopped").outcome, Outcome::finished);
  EXPECT_LT(distance("whole", "stopped"), testing::kOtherOrder);
}

TEST_F(GpuTrainingTest, ACheckpointOfAGpuGoesOnOnACpu) {
  train(1, {}, task(), "whole");
  train(1, kOneGpu, task(), "moved",
        [](std::int64_t step) { return step == 5 ? AfterStep::save_and_stop : AfterStep::go_on; });
  EXPECT_EQ(train(1, {}, task(), "moved").outcome, Outcome::finished);
  EXPECT_LT(distance("whole", "moved"), testing::kOtherOrder);
}

TEST_F(GpuTrainingTest, EvaluatesOnAGpuAsOnACpu) {
  train(1, {}, task(), "cpu");
  Task t;
  t.workload = "evaluate";
  t.parameters = resolve_parameters(evaluate_schema(),
                                    {{"network", "resnet9"},
                                     {"width", 0.125},
                                     {"weights", (folder_ / "cpu/final.safetensors").string()},
                                     {"precision", "fp64"},
                                     {"data.samples", 200},
                                     {"data.path", "synthetic"}},
                                    {});
  std::vector<double> losses;
  for (const Device& device : {Device{}, kOneGpu}) {
    on_ranks(1, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / "evaluated");
      context.computes_on = device;
      evaluate_weights(context);
      losses.push_back(context.recorded.column("evaluation", "loss").front());
    });
  }
  EXPECT_NEAR(losses[1], losses[0], 1e-9 * losses[0]);
}

TEST_F(GpuTrainingTest, RefusesAGpuThatIsNotThere) {
  try {
    compute_device({.kind = Device::Kind::cuda, .index = 99});
    FAIL() << "found it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::resources);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("has GPU 99 and LibTorch sees"));
  }
}

}  // namespace
}  // namespace muster::workloads
