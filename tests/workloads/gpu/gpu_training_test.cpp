#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "tests/workloads/fast_recipe.hpp"
#include "tests/workloads/gpu/gpu_training.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/evaluate/evaluation_task.hpp"

namespace muster::workloads {
namespace {

using testing::GpuTrainingTest;
using testing::kOneGpu;

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
      const auto statistics = channel_statistics(data.train);
      const BatchMaker batches(statistics, type, 3, options[i]),
          by_operators(statistics, type, 3, options[i], false);
      for (const std::int64_t epoch : {0, 1}) {
        const auto wanted = batches.training_batch(data.train, samples, epoch);
        const auto made = batches.training_batch(there, samples, epoch);
        const auto composed = by_operators.training_batch(there, samples, epoch);
        EXPECT_EQ(made.device(), gpu);
        EXPECT_EQ(composed.strides(), wanted.strides());
        EXPECT_TRUE(torch::equal(bytes_of(composed), bytes_of(wanted))) << "by LibTorch's operators";
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
  const Task t = task(fast_recipe());
  const auto on_cpu = train(1, {}, t, "cpu");
  const auto on_gpu = train(1, kOneGpu, t, "gpu");
  EXPECT_LT(distance("cpu", "gpu"), testing::kOtherOrder);
  EXPECT_NEAR(on_gpu.metrics.column("epoch", "test_loss").back(),
              on_cpu.metrics.column("epoch", "test_loss").back(), 1e-8);
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
