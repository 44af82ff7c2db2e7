// The fusion workload: experts, fusion and heads trained together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

#include "core/error.hpp"
#include "tests/workloads/fusion_files.hpp"
#include "workloads/common/gradient_norm.hpp"
#include "workloads/common/sampling.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using testing::error_thrown_by;
using ::testing::HasSubstr;
using torch::Tensor;

using testing::FusionTrainingTest;
using testing::kFusionWidth;

TEST_F(FusionTrainingTest, WritesARowAnEpochAndComponentsOfTheBest) {
  const auto result = train(1, task({{"epochs", 3}}), "run");
  EXPECT_EQ(result.outcome, Outcome::finished);
  EXPECT_THAT(result.metrics.column("epoch", "epoch"), ElementsAre(1, 2, 3));
  EXPECT_THAT(result.metrics.column("step", "step"), ElementsAre(1, 2, 3, 4, 5, 6));
  const auto accuracies = result.metrics.column("epoch", "global_accuracy");
  const auto best = static_cast<std::size_t>(result.metrics.column("epoch", "best_epoch").back());
  EXPECT_EQ(accuracies[best - 1], *std::max_element(accuracies.begin(), accuracies.end()));

  EXPECT_EQ(SafetensorsFile(folder_ / "run/global/global.safetensors").metadata().at("epoch"),
            std::to_string(best));
  const FusionDescription description = look_at_components(folder_ / "run");
  EXPECT_EQ(description.experts[0].network, "resnet_slim");
  EXPECT_EQ(description.experts[1].network, "densenet_slim");
  const auto network = load_components(folder_ / "run", description, torch::kFloat32);
  const FusionData data = load_fusion_data(read_fusion_parameters(task()));
  EXPECT_EQ(data.train.size(), 24);
  EXPECT_EQ(data.validation.size(), 24);
  const BatchMaker batches(data.statistics, torch::kFloat32, 0, {0, false, 0});
  const FusedEvaluation again = evaluate_fused(*network, data.validation, batches, data.classes, 7, nullptr);
  EXPECT_EQ(again.global.accuracy(), accuracies[best - 1]);
  EXPECT_NEAR(again.global.loss, result.metrics.column("epoch", "global_loss")[best - 1], 1e-5);
  EXPECT_EQ(again.fused.accuracy(), result.metrics.column("epoch", "fused_accuracy")[best - 1]);
  EXPECT_EQ(again.experts[1].accuracy(), result.metrics.column("epoch", "expert_1_accuracy")[best - 1]);
}

/// Step 1 again, from the definitions: loss = CE(global) + alpha * sum of CE(expert).
TEST_F(FusionTrainingTest, TakesTheDualPathLoss) {
  const Task t = task({{"epochs", 1},
                       {"batch", 24},
                       {"alpha", 0.5},
                       {"precision", "fp64"},
                       {"mix.mixup", 0.0},
                       {"mix.cutmix", 0.0},
                       {"augment.crop", 0},
                       {"augment.flip", false}});
  const auto metrics = train(1, t, "run").metrics;

  const FusionParameters p = read_fusion_parameters(t);
  const FusionData data = load_fusion_data(p);
  std::vector<std::shared_ptr<FeatureNetwork>> experts;
  for (const std::string& path : experts_)
    experts.push_back(load_expert(look_at_expert(path, data.classes), data.classes, torch::kFloat64));
  FusionNetwork network(experts, p.fusion, p.options, data.classes, p.seed);
  const auto order = epoch_order(24, p.seed, 0);
  const BatchMaker batches(data.statistics, torch::kFloat64, 0, {0, false, 0});
  network.begin_batch(order, 0);
  const FusionLogits logits = network.forward(batches.training_batch(data.train, order, 0));
  const auto cross_entropy = [&](const Tensor& of) {
    const Tensor odds = of.exp();
    const Tensor chosen = odds.gather(1, BatchMaker::labels(data.train, order).unsqueeze(1)).squeeze(1);
    return -(chosen / odds.sum(1)).log().mean().item<double>();
  };
  const double global = cross_entropy(logits.global);
  const double first = cross_entropy(logits.experts[0]), second = cross_entropy(logits.experts[1]);
  EXPECT_NEAR(metrics.column("step", "global_loss")[0], global, 1e-12);
  EXPECT_NEAR(metrics.column("step", "expert_0_loss")[0], first, 1e-12);
  EXPECT_NEAR(metrics.column("step", "expert_1_loss")[0], second, 1e-12);
  EXPECT_NEAR(metrics.column("step", "loss")[0], global + 0.5 * (first + second), 1e-12);
}

TEST_F(FusionTrainingTest, GivesEachComponentItsOwnRate) {
  const auto same = [&](const std::string& place) {
    const SafetensorsFile given(experts_[0]);
    const SafetensorsFile left(folder_ / place / "experts/expert_0.safetensors");
    for (const TensorView& tensor : given.tensors()) {
      if (tensor.name.find("running") != std::string::npos) continue;
      const TensorView* other = left.find(tensor.name);
      if (!other || !std::equal(tensor.bytes.begin(), tensor.bytes.end(), other->bytes.begin())) return false;
    }
    return true;
  };
  const Parameters constant{{"schedule.kind", "constant"}, {"epochs", 1}};
  Parameters still = constant;
  still["experts_lr"] = 0.0;
  const auto metrics = train(1, task(still), "still").metrics;
  EXPECT_TRUE(same("still"));
  EXPECT_THAT(metrics.column("step", "fusion_lr"), ElementsAre(1e-3, 1e-3));
  train(1, task(constant), "moved");
  EXPECT_FALSE(same("moved"));
  EXPECT_NE(weights("still")[2], weights("moved")[2]);
  still["fusion_lr"] = 0.0;
  train(1, task(still), "frozen");
  EXPECT_NE(weights("frozen")[3], weights("still")[3]);

  EXPECT_DOUBLE_EQ(fusion_rate(1e-3, true, 1024), 5e-4);
  EXPECT_DOUBLE_EQ(fusion_rate(1e-3, false, 1024), 1e-3);
  Parameters scaled = constant;
  scaled["lr_scale"] = "input_dim";
  scaled["common_width"] = 16;
  EXPECT_THAT(train(1, task(scaled), "scaled").metrics.column("step", "fusion_lr"),
              ElementsAre(0.032, 0.032));
}

TEST_F(FusionTrainingTest, TakesTheExpertsOfAFolderByTheirNames) {
  testing::write_expert(folder_ / "both/expert_1.safetensors", "densenet_slim", kFusionWidth, 2);
  testing::write_expert(folder_ / "both/expert_0.safetensors", "resnet_slim", kFusionWidth / 2, 1);
  testing::write_bytes(folder_ / "both/notes.txt", {1});
  train(1, task({{"experts", Value::List{}}, {"experts_folder", (folder_ / "both").string()}}), "folder");
  train(1, task(), "list");
  EXPECT_EQ(weights("folder"), weights("list"));
}

/// A gang that was given up may have written a later best than the checkpoint knows.
TEST_F(FusionTrainingTest, PutsBackTheBestOfItsCheckpoint) {
  const Task t = task({{"batch", 6}});  // 4 steps an epoch
  const auto stop = [](std::int64_t at) {
    return [at](std::int64_t step) { return step == at ? AfterStep::save_and_stop : AfterStep::go_on; };
  };
  train(1, t, "run", stop(5));
  const auto of_checkpoint = weights("run");
  for (const char* file : {"experts/expert_0.safetensors", "global/global.safetensors"})
    fs::copy(experts_[1], folder_ / "run" / file, fs::copy_options::overwrite_existing);
  train(1, t, "run", stop(6));
  EXPECT_EQ(weights("run"), of_checkpoint);
}

TEST_F(FusionTrainingTest, ClipsTheGradientAndRecordsBothNorms) {
  const auto free = train(1, task({{"clip", 0.0}, {"epochs", 1}}), "free").metrics;
  const auto bound = train(1, task({{"clip", 0.01}, {"epochs", 1}}), "bound").metrics;
  EXPECT_EQ(free.column("step", "gradient_norm"), free.column("step", "clipped_gradient_norm"));
  EXPECT_EQ(bound.column("step", "gradient_norm")[0], free.column("step", "gradient_norm")[0]);
  EXPECT_GT(bound.column("step", "gradient_norm")[0], 0.01);
  for (const double norm : bound.column("step", "clipped_gradient_norm")) EXPECT_NEAR(norm, 0.01, 1e-7);
}

TEST(GradientNorm, IsOfAllParametersTogetherAndBounded) {
  Tensor a = torch::zeros({1}, torch::requires_grad()), b = torch::zeros({1}, torch::requires_grad()),
         none = torch::zeros({1}, torch::requires_grad());
  (3 * a + 4 * b).sum().backward();
  const ClippedNorm norm = clip_gradients({a, none, b}, 1);
  EXPECT_DOUBLE_EQ(norm.before, 5);
  EXPECT_NEAR(norm.after, 1, 1e-7);
  EXPECT_FLOAT_EQ(a.grad().item<float>(), 0.6F);
  EXPECT_FLOAT_EQ(b.grad().item<float>(), 0.8F);
  EXPECT_EQ(clip_gradients({a, b}, 2).after, norm.after) << "a short gradient was changed";
}

class FusionTrainingResumes : public FusionTrainingTest, public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, FusionTrainingResumes, ::testing::Values(1, 2));

/// Stopped within an epoch, at its end and at the last step: the same components and rows, bit for bit.
TEST_P(FusionTrainingResumes, BitForBitAfterAnyStep) {
  const int ranks = GetParam();
  const Task t = task({{"exchange.algorithm", "ring"}, {"fusion", "TransformerBase"}});
  const auto whole = train(ranks, t, "whole");
  for (const std::int64_t stop : {1, 2, 3, 4}) {
    const std::string place = "stopped-" + std::to_string(stop);
    const auto first = train(ranks, t, place, [stop](std::int64_t step) {
      return step == stop ? AfterStep::save_and_stop : AfterStep::go_on;
    });
    EXPECT_EQ(first.outcome, Outcome::stopped);
    const auto second = train(ranks, t, place);
    EXPECT_EQ(weights(place), weights("whole")) << "stopped after step " << stop;
    for (const auto& [table, column] : {std::pair{"step", "loss"},
                                        {"step", "clipped_gradient_norm"},
                                        {"epoch", "train_loss"},
                                        {"epoch", "global_loss"},
                                        {"epoch", "best_global_accuracy"}}) {
      const auto rows = column_of_attempts({&first.metrics, &second.metrics}, table, column);
      EXPECT_EQ(rows, whole.metrics.column(table, column))
          << table << '.' << column << ", stopped after " << stop;
    }
  }
}

TEST(FusionLogits, AverageProbabilitiesOfExpertsAndOfBothPaths) {
  const auto logits = [](double p) {
    return torch::tensor({{std::log(p), std::log(1 - p)}}, torch::kFloat32) + 7;
  };
  const FusionLogits both{.global = logits(0.9), .experts = {logits(0.2), logits(0.4)}};
  EXPECT_NEAR(both.experts_mean().exp()[0][0].item<double>(), 0.3, 1e-6);
  EXPECT_NEAR(both.both_paths().exp()[0][0].item<double>(), 0.6, 1e-6);
  const FusionLogits sure{.global = torch::tensor({{-400.0F, 0.0F}}),
                          .experts = {torch::tensor({{-400.0F, 0.0F}})}};
  EXPECT_NEAR(sure.both_paths()[0][0].item<double>(), -400, 1e-3) << "a probability was rounded to zero";
}

TEST(BestEpoch, IsTheMostAccurateThenTheLeastCostly) {
  const auto found = [](std::int64_t right, double loss) {
    Evaluation evaluation;
    evaluation.samples = 10;
    evaluation.loss = loss;
    evaluation.confusion = {right, 10 - right, 0, 0};
    return evaluation;
  };
  EXPECT_TRUE(BestEpoch{}.is_beaten_by(found(0, 9)));
  const BestEpoch best{.epoch = 2, .accuracy = 0.5, .loss = 1, .expert_accuracy = {}};
  EXPECT_TRUE(best.is_beaten_by(found(6, 3)));
  EXPECT_FALSE(best.is_beaten_by(found(4, 0.1)));
  EXPECT_TRUE(best.is_beaten_by(found(5, 0.9)));
  EXPECT_FALSE(best.is_beaten_by(found(5, 1))) << "the earlier of two equals counts";
  const BestEpoch read = best_epoch_from(to_text(BestEpoch{3, 1.0 / 3, 2.0 / 7, {0.1, 0.2}}), 2);
  EXPECT_EQ(read.epoch, 3);
  EXPECT_EQ(read.accuracy, 1.0 / 3);
  EXPECT_EQ(read.loss, 2.0 / 7);
  EXPECT_THAT(read.expert_accuracy, ElementsAre(0.1, 0.2));
  EXPECT_EQ(best_epoch_from(to_text(BestEpoch{}), 2).epoch, 0);
  EXPECT_THROW(best_epoch_from("three", 2), Error);
}

}  // namespace
}  // namespace muster::workloads
