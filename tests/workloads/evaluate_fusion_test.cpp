// The evaluate_fusion workload: a fusion's components, single experts and a control on the test set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "core/error.hpp"
#include "tests/workloads/fusion_files.hpp"
#include "workloads/evaluate_fusion/evaluation_task.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using testing::error_thrown_by;
using ::testing::HasSubstr;

constexpr ChannelStatistics kStatistics{{0.4, 0.5, 0.6}, {0.2, 0.25, 0.3}};

class EvaluateFusion : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    folder_ = testing::fresh_folder();
    expert_ = testing::write_expert(folder_ / "a.safetensors", "resnet_slim", 0.5, 1, testing::kFusionClasses,
                                    {{"mean", "0.1 0.2 0.3"}, {"deviation", "0.2 0.2 0.2"}});
    control_ = testing::write_expert(folder_ / "control.safetensors", "densenet_slim", 0.5, 7);
    description_ = {.experts = look_at_experts(
                        {expert_, testing::write_expert(folder_ / "b.safetensors", "densenet_slim", 0.5, 2)},
                        "mixed", 1, testing::kFusionClasses),
                    .fusion = "concatenation",
                    .options = {},
                    .classes = testing::kFusionClasses};
    std::vector<std::shared_ptr<FeatureNetwork>> experts;
    for (ExpertFile& file : description_.experts) {
      experts.push_back(load_expert(file, testing::kFusionClasses, torch::kFloat32));
      file.statistics = kStatistics;
    }
    const FusionNetwork network(experts, "concatenation", {}, testing::kFusionClasses, 5);
    write_components(folder_ / "fusion", named_tensors(network), description_,
                     {.epoch = 3, .accuracy = 0.5, .loss = 1, .expert_accuracy = {0.25, 0.5}});
  }
  void TearDown() override { fs::remove_all(folder_); }

  MemoryMetrics evaluated(int ranks, const Parameters& more) const {
    Parameters given{{"fusion_folder", (folder_ / "fusion").string()},
                     {"data.samples", 120},
                     {"data.test_samples", 40},
                     {"data.classes", testing::kFusionClasses},
                     {"data.seed", 3}};
    for (const auto& [name, value] : more) given[name] = value;
    Task task;
    task.workload = "evaluate_fusion";
    task.parameters = resolve_parameters(evaluate_fusion_schema(), given, {});
    MemoryMetrics metrics;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(task, communicator, folder_ / "task");
      evaluate_fusion(context);
      if (communicator.rank() == 0) metrics = context.recorded;
    });
    return metrics;
  }

  /// What the file's network alone gets right, by its logits.
  std::int64_t right(const std::string& path, const ChannelStatistics& statistics) const {
    const torch::NoGradGuard no_grad;
    const auto network =
        load_expert(look_at_expert(path, testing::kFusionClasses), testing::kFusionClasses, torch::kFloat32);
    network->eval();
    const Dataset data = load_dataset(testing::fusion_dataset());
    const BatchMaker batches(statistics, torch::kFloat32, 0, {0, false, 0});
    const auto guess = network->forward(batches.evaluation_batch(data.test, 0, data.test.size())).argmax(1);
    return guess.eq(data.test.labels).sum().item<std::int64_t>();
  }

  fs::path folder_;
  std::string expert_, control_;
  FusionDescription description_;
};

TEST_F(EvaluateFusion, LooksAtEachComponentOnceAndSaysWhatTheFusionGains) {
  const Parameters all{{"control", control_}, {"experts", Value::List{expert_}}};
  const auto metrics = evaluated(1, all);
  const auto count = metrics.column("component", "right");
  ASSERT_EQ(count.size(), 7U);
  EXPECT_EQ(count[3], right((folder_ / "fusion/experts/expert_0.safetensors").string(), kStatistics));
  EXPECT_EQ(count[4], right((folder_ / "fusion/experts/expert_1.safetensors").string(), kStatistics));
  EXPECT_EQ(count[5], right(expert_, {{0.1, 0.2, 0.3}, {0.2, 0.2, 0.2}})) << "normalised as it was trained";
  EXPECT_EQ(count[6], right(control_, kStatistics));
  for (const double images : metrics.column("component", "images")) EXPECT_EQ(images, 40);

  const auto figure = [&](const char* name) { return metrics.column("evaluation", name).front(); };
  EXPECT_DOUBLE_EQ(figure("test_global_accuracy"), count[0] / 40);
  const double best = std::max({count[3], count[4], count[5]}) / 40;
  EXPECT_DOUBLE_EQ(figure("test_best_expert_accuracy"), best);
  EXPECT_NEAR(figure("gain_over_best_expert"), count[0] / 40 - best, 1e-12);
  EXPECT_NEAR(figure("gain_over_control"), (count[0] - count[6]) / 40, 1e-12);
  EXPECT_DOUBLE_EQ(figure("test_expert_0_before_accuracy"), count[5] / 40);
  EXPECT_EQ(evaluated(2, all).column("component", "right"), count) << "two ranks count otherwise";
}

TEST_F(EvaluateFusion, HasNoGainOverAControlThatIsNotThere) {
  const auto metrics = evaluated(1, {});
  EXPECT_TRUE(std::isnan(metrics.column("evaluation", "gain_over_control").front()));
  EXPECT_EQ(metrics.rows.at("component").size(), 5U);
}

TEST_F(EvaluateFusion, RefusesWhatDoesNotBelongTogether) {
  const auto refused = [&](const Parameters& more) { return error_thrown_by([&] { evaluated(1, more); }); };
  EXPECT_THAT(refused({{"data.classes", 5}}).problem(),
              HasSubstr("tells apart 4 classes, and the data set has 5"));
  EXPECT_THAT(
      refused({{"control", testing::write_expert(folder_ / "c.safetensors", "resnet_slim", 0.5, 1, 9)}})
          .problem(),
      HasSubstr("tells apart 9 classes"));
  EXPECT_THAT(refused({{"fusion", "multiplicative"}}).problem(),
              HasSubstr("is concatenation, and multiplicative"));
  EXPECT_THAT(refused({{"network", "densenet_slim"}}).problem(), HasSubstr("is of a resnet_slim"));
  EXPECT_THAT(refused({{"control", (folder_ / "none.safetensors").string()}}).problem(),
              HasSubstr("is not there"));
  const fs::path second = folder_ / "fusion/experts/expert_1.safetensors";
  fs::rename(second, folder_ / "moved");
  EXPECT_THAT(refused({}).problem(), HasSubstr("expert_1.safetensors' is not there"));
  const SafetensorsFile moved(folder_ / "moved");
  auto metadata = moved.metadata();
  metadata["epoch"] = "2";
  write_safetensors(second, moved.tensors(), metadata);
  EXPECT_THAT(refused({}).problem(), HasSubstr("expert 1 is of epoch 2 and the global head of epoch 3"));
}

}  // namespace
}  // namespace muster::workloads
