#include "workloads/ddp/training.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>

#include "core/error.hpp"
#include "tests/workloads/fast_recipe.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/data/whitening.hpp"
#include "workloads/common/image_training/metric_tables.hpp"
#include "workloads/common/image_training/parameters.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;

/// A slim ResNet-9 on 96 synthetic images, 4 steps an epoch of 24 images (shared by 2, 3 and 4 ranks).
Task task(const Parameters& more = {}) {
  Parameters given{
      {"width", 0.125}, {"data.samples", 96}, {"data.test_samples", 30}, {"epochs", 2},
      {"batch", 24},    {"lr", 0.05},         {"nesterov", true},        {"exchange.bucket_mb", 0.05}};
  for (const auto& [name, value] : more) given[name] = value;
  Task result;
  result.workload = "ddp";
  result.parameters = resolve_parameters(ddp_schema(), given, {});
  return result;
}

class DdpTrainingTest : public testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = fs::temp_directory_path() / ("muster-ddp-" + name + "-" + std::to_string(::getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  struct Result {
    Outcome outcome = Outcome::finished;
    MemoryMetrics metrics;  ///< rank 0's
    std::vector<std::string> lines;
  };

  /// Trains in `place` below the test's folder, from the checkpoint there if any.
  Result train(int ranks, const Task& t, const std::string& place,
               const std::function<AfterStep(std::int64_t)>& after = {}) {
    Result result;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / place, after);
      const Outcome outcome = train_ddp(context);
      if (communicator.rank() == 0) result = {outcome, context.recorded, context.lines};
    });
    return result;
  }

  std::string final_weights(const std::string& place) const {
    return SafetensorsFile(folder_ / place / "final.safetensors").checksum();
  }

  /// Stopped after each of `stops` steps and started again from the checkpoint: the same weights and rows,
  /// bit for bit.
  void expect_resumes(int ranks, const Task& t, const std::vector<std::int64_t>& stops) {
    const auto whole = train(ranks, t, "whole");
    for (const std::int64_t stop : stops) {
      const std::string place = "stopped-" + std::to_string(stop);
      const auto first = train(ranks, t, place, [stop](std::int64_t step) {
        return step == stop ? AfterStep::save_and_stop : AfterStep::go_on;
      });
      EXPECT_EQ(first.outcome, Outcome::stopped);
      const auto second = train(ranks, t, place);
      EXPECT_EQ(second.outcome, Outcome::finished);
      EXPECT_EQ(final_weights(place), final_weights("whole")) << "stopped after step " << stop;
      for (const auto& [table, column] :
           {std::pair{"step", "loss"}, {"epoch", "train_loss"}, {"epoch", "test_loss"}}) {
        const auto rows = column_of_attempts({&first.metrics, &second.metrics}, table, column);
        EXPECT_EQ(rows, whole.metrics.column(table, column))
            << table << '.' << column << ", stopped after " << stop;
      }
    }
  }

  fs::path folder_;
};

TEST_F(DdpTrainingTest, WritesItsTablesAndWeights) {
  const auto result = train(2, task({{"exchange.algorithm", "ring"}}), "run");
  EXPECT_EQ(result.outcome, Outcome::finished);
  EXPECT_THAT(result.metrics.column("epoch", "epoch"), testing::ElementsAre(1, 2));
  EXPECT_THAT(result.metrics.column("step", "step"), testing::ElementsAre(1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_EQ(result.metrics.rows.at("class").size(), 20U);
  const auto counts = result.metrics.column("confusion", "count");
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0.0), 30);
  for (const double busy : result.metrics.column("step", "exchange_busy_seconds")) EXPECT_GT(busy, 0);
  const auto payload = result.metrics.column("step", "payload_bytes");
  const auto sent = result.metrics.column("step", "bytes_sent");
  // A ring of two sends each byte once; the loss, 8 B, travels the library's way.
  for (std::size_t i = 0; i < sent.size(); ++i) EXPECT_EQ(sent[i], payload[i] - 8);
  const auto steps = result.metrics.column("step", "loss");
  EXPECT_NEAR(result.metrics.column("epoch", "train_loss")[0],
              (steps[0] + steps[1] + steps[2] + steps[3]) / 4, 1e-12);
  const SafetensorsFile weights(folder_ / "run" / "final.safetensors");
  EXPECT_NE(weights.find("linear.weight"), nullptr);
  EXPECT_EQ(weights.metadata().at("network"), "resnet9");
}

TEST_F(DdpTrainingTest, LearnsTheSyntheticImages) {
  const auto result = train(
      2, task({{"data.samples", 384}, {"data.test_samples", 100}, {"epochs", 5}, {"batch", 16}}), "run");
  EXPECT_GT(result.metrics.column("epoch", "test_accuracy").back(), 0.35) << "chance is 0.1";
}

TEST_F(DdpTrainingTest, TestsOnlyTheEpochsThatItIsAskedTo) {
  const auto result = train(1, task({{"epochs", 3}, {"evaluate_every", 0}}), "run");
  const auto accuracy = result.metrics.column("epoch", "test_accuracy");
  EXPECT_TRUE(std::isnan(accuracy[0]) && std::isnan(accuracy[1]));
  EXPECT_FALSE(std::isnan(accuracy[2]));
}

class DdpTrainingResumes : public DdpTrainingTest,
                           public testing::WithParamInterface<std::tuple<int, const char*, const char*>> {};
std::string case_name(const ::testing::TestParamInfo<DdpTrainingResumes::ParamType>& info) {
  const auto [ranks, precision, norm] = info.param;
  return std::to_string(ranks) + "_ranks_" + precision + "_" + norm;
}

INSTANTIATE_TEST_SUITE_P(RanksPrecisionAndNorm, DdpTrainingResumes,
                         testing::Values(std::tuple{1, "fp32", "local"}, std::tuple{2, "bf16", "local"},
                                         std::tuple{3, "fp32", "local"}, std::tuple{2, "fp32", "sync"}),
                         case_name);

/// Before and after the buckets settle, within an epoch, at its end, at the last step.
TEST_P(DdpTrainingResumes, BitForBitAfterAnyStep) {
  const auto [ranks, precision, norm] = GetParam();
  expect_resumes(ranks,
                 task({{"precision", precision},
                       {"sync_bn", std::string(norm) == "sync"},
                       {"exchange.algorithm", "ring"},
                       {"augment.cutout", 8},
                       {"label_smoothing", 0.1}}),
                 {1, 2, 3, 4, 6, 8});
}

/// Everything that a fast recipe adds; the whitening's bias stops learning after 12 of 16 steps.
Task fast_task(const Parameters& more = {}) {
  Parameters given = fast_recipe({{"epochs", 4}});
  for (const auto& [name, value] : more) given[name] = value;
  return task(given);
}

TEST_F(DdpTrainingTest, ResumesAFastRecipeBitForBit) {
  expect_resumes(1, fast_task({{"precision", "bf16"}}), {1, 3, 8, 13, 16});
}

TEST_F(DdpTrainingTest, ResumesAFastRecipeOnTwoRanksBitForBit) {
  expect_resumes(2, fast_task({{"sync_bn", true}}), {2, 14});
}

TEST_F(DdpTrainingTest, TheWhiteningComesFromTheImagesAndStays) {
  train(2, fast_task(), "run");
  const SafetensorsFile file(folder_ / "run" / "final.safetensors");
  const Dataset data = load_dataset({.path = "synthetic", .samples = 96, .test_samples = 30, .classes = 10});
  const torch::Tensor expected =
      whitening_filters(patch_moments(data.train, 5000, channel_statistics(data.train)), 5e-4);
  const torch::Tensor found = torch::empty({24, 3, 2, 2});
  restore({{"whiten_weight", found}}, file);
  EXPECT_TRUE(torch::equal(found, expected.to(torch::kFloat32)));
}

/// Each option alone must change what is trained or tested.
TEST_F(DdpTrainingTest, EveryOptionOfAFastRecipeTakesPart) {
  const auto loss_and_weights = [&](const Parameters& more, const std::string& place) {
    Parameters given{{"epochs", 2}, {"lr", 0.02}};
    for (const auto& [name, value] : more) given[name] = value;
    const auto result = train(1, task(given), place);
    return std::pair(result.metrics.column("epoch", "test_loss").back(), final_weights(place));
  };
  const auto plain = loss_and_weights({}, "plain");
  const std::vector<Parameters> options{{{"bias_lr_factor", 4.0}},
                                        {{"lookahead.every", 3}},
                                        {{"augment.alternate_flip", true}},
                                        {{"augment.padding", "reflect"}}};
  for (const Parameters& option : options) {
    const std::string& name = option.begin()->first;
    EXPECT_NE(loss_and_weights(option, name).second, plain.second) << name;
  }
  const auto viewed = loss_and_weights({{"evaluate_views", "mirror"}}, "viewed");
  EXPECT_NE(viewed.first, plain.first);
  EXPECT_EQ(viewed.second, plain.second);
}

TEST_F(DdpTrainingTest, RefusesToAlternateFlipsThatAreOff) {
  try {
    train(1, task({{"augment.flip", false}, {"augment.alternate_flip", true}}), "run");
    FAIL() << "took it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::config);
    EXPECT_THAT(error.what(), testing::HasSubstr("augment.flip = true"));
  }
}

TEST_F(DdpTrainingTest, SavesAndGoesOnWhenAsked) {
  std::atomic<int> asked{0};
  const auto result = train(2, task(), "run", [&](std::int64_t step) {
    if (step != 3) return AfterStep::go_on;
    ++asked;
    return AfterStep::save;
  });
  EXPECT_EQ(result.outcome, Outcome::finished);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(SafetensorsFile(folder_ / "run" / "checkpoint").metadata().at("step"), "3");
}

TEST_F(DdpTrainingTest, NamesTheStepAtWhichTheLossIsNoLongerFinite) {
  try {
    train(2, task({{"lr", 1e30}, {"momentum", 0.0}, {"nesterov", false}}), "run");
    FAIL() << "did not diverge";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::diverged);
    EXPECT_THAT(error.problem(), testing::ContainsRegex("loss is -?(nan|inf) at step [2-8] "));
  }
}

TEST_F(DdpTrainingTest, RefusesABatchThatTheRanksCannotShareEvenly) {
  try {
    train(3, task({{"batch", 32}}), "run");
    FAIL() << "took it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::config);
    EXPECT_THAT(error.what(), testing::HasSubstr("multiple of 3"));
  }
}

TEST_F(DdpTrainingTest, RefusesAScheduleWithMoreKnotsThanShares) {
  EXPECT_THROW(read_image_parameters(task({{"schedule.kind", "piecewise_linear"},
                                           {"schedule.knots", Value::List{0.0, 1.0}},
                                           {"schedule.shares", Value::List{1.0}}})),
               Error);
}

TEST(DdpParameters, ScaleTheRateWithTheBatchThatItIsFor) {
  const auto p = read_image_parameters(task({{"batch", 256},
                                             {"lr", 0.1},
                                             {"schedule.reference_batch", 128},
                                             {"schedule.kind", "piecewise_linear"},
                                             {"schedule.knots", Value::List{Value(0), Value(5)}},
                                             {"schedule.shares", Value::List{Value(0), Value(1)}}}));
  EXPECT_DOUBLE_EQ(p.schedule.peak, 0.2);
  EXPECT_DOUBLE_EQ(p.schedule.knots.back().rate, 0.2);
}

TEST(EpochSums, SurviveTheirTextBitForBit) {
  EpochSums sums{.loss = 1.0 / 3,
                 .steps = 7,
                 .seconds = 0.1,
                 .exchange_busy = 1e-300,
                 .exchange_exposed = 3,
                 .bookkeeping = 2.0 / 7,
                 .bytes_sent = 1LL << 60,
                 .bytes_received = 5};
  const EpochSums read = epoch_sums_from(to_text(sums));
  EXPECT_EQ(read.loss, sums.loss);
  EXPECT_EQ(read.steps, sums.steps);
  EXPECT_EQ(read.seconds, sums.seconds);
  EXPECT_EQ(read.exchange_busy, sums.exchange_busy);
  EXPECT_EQ(read.bookkeeping, sums.bookkeeping);
  EXPECT_EQ(read.payload_bytes, sums.payload_bytes);
  EXPECT_EQ(read.bytes_sent, sums.bytes_sent);
  EXPECT_EQ(read.bytes_received, sums.bytes_received);
  EXPECT_THROW(epoch_sums_from("0x1p0 seven"), Error);
}

}  // namespace
}  // namespace muster::workloads
