/// The split and experts workloads.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <numeric>
#include <set>

#include "core/durable_file.hpp"
#include "core/index_file.hpp"
#include "tests/workloads/data_files.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/data/split_folder.hpp"
#include "workloads/common/image_training/training.hpp"
#include "workloads/common/weights_loading.hpp"
#include "workloads/experts/training.hpp"
#include "workloads/split/split_task.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using testing::error_thrown_by;
using ::testing::HasSubstr;

constexpr std::int64_t kImages = 240;

Task task_of(const char* workload, const WorkloadSchema& schema, Parameters given, const Parameters& more) {
  for (const auto& [name, value] : more) given[name] = value;
  Task task;
  task.workload = workload;
  task.parameters = resolve_parameters(schema, given, {});
  return task;
}

class ExpertsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    folder_ = testing::fresh_folder();
  }
  void TearDown() override { fs::remove_all(folder_); }

  struct Result {
    Outcome outcome = Outcome::finished;
    MemoryMetrics metrics;  ///< rank 0's
  };
  using After = std::function<AfterStep(std::int64_t)>;

  /// Divides 240 synthetic images, or others, between two experts. Each has 144, 10 are for validation.
  Result split(const std::string& place, const Parameters& more = {}, int ranks = 1) {
    const Task task = task_of("split", split_schema(), {{"data.samples", kImages}, {"experts", 2}}, more);
    Result result;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(task, communicator, folder_ / place);
      make_split_folder(context);
      if (communicator.rank() == 0) result.metrics = context.recorded;
    });
    return result;
  }

  Task expert(const std::string& split_place, const Parameters& more = {}) {
    return task_of("experts", experts_schema(),
                   {{"split", (folder_ / split_place).string()},
                    {"width", 0.125},
                    {"data.samples", kImages},
                    {"data.test_samples", 10},
                    {"epochs", 3},
                    {"batch", 24},
                    {"lr", 0.01},
                    {"network", "resnet9"},
                    {"exchange.bucket_mb", 0.05}},
                   more);
  }

  /// Trains in `place`, from the checkpoint there if any.
  Result train(const Task& task, const std::string& place, int ranks = 1, const After& after = {}) {
    Result result;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(task, communicator, folder_ / place, after);
      const Outcome outcome = train_expert(context);
      if (communicator.rank() == 0) result = {outcome, context.recorded};
    });
    return result;
  }

  std::string weights(const std::string& place, const std::string& name = "final") const {
    return SafetensorsFile(folder_ / place / (name + ".safetensors")).checksum();
  }

  Dataset data() const { return load_dataset({.samples = kImages, .test_samples = 10}); }

  fs::path folder_;
};

TEST_F(ExpertsTest, SplitWritesAFolderThatItsReadersTake) {
  const Result result = split("split", {}, 2);
  const Split made = read_split(folder_ / "split", data());
  EXPECT_THAT(result.metrics.column("part", "images"), ElementsAre(144, 144, 48, 38, 10));
  EXPECT_EQ(made.experts.size(), 2U);
  EXPECT_EQ(made.validation.size(), 10U);
  for (const double least : result.metrics.column("part", "least")) EXPECT_GT(least, 0);
}

TEST_F(ExpertsTest, SplitTakesOverAHoldoutFromEitherKindOfFile) {
  std::vector<std::int64_t> holdout(60);
  std::iota(holdout.begin(), holdout.end(), 100);
  for (const char* name : {"given.npy", "given.txt"}) {
    write_indices(folder_ / name, holdout);
    split(name + std::string("-split"), {{"holdout", (folder_ / name).string()}});
    EXPECT_EQ(read_split(folder_ / (name + std::string("-split")), data()).holdout, holdout);
  }
}

TEST_F(ExpertsTest, SplitRefusesAHoldoutOfAnotherDataSet) {
  write_indices(folder_ / "given.npy", std::vector<std::int64_t>{5, 240});
  const Error error = error_thrown_by([&] {
    split("split", {{"holdout", (folder_ / "given.npy").string()}});
  });
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("given.npy"), HasSubstr("240 is outside")));
  EXPECT_FALSE(fs::exists(folder_ / "split" / "split.json"));
}

TEST_F(ExpertsTest, KeepsTheWeightsOfTheEpochThatIsBestOnValidation) {
  split("split", {{"validation_share", 0.5}});
  const Result result = train(expert("split", {{"expert", 1}, {"epochs", 5}}), "run");
  const auto accuracy = result.metrics.column("epoch", "validation_accuracy");
  ASSERT_EQ(accuracy.size(), 5U);
  const auto best = std::max_element(accuracy.begin(), accuracy.end());
  EXPECT_EQ(result.metrics.column("best", "epoch").back(), static_cast<double>(best - accuracy.begin() + 1));
  EXPECT_EQ(result.metrics.column("best", "validation_accuracy").back(), *best);

  const WeightsFile file(folder_ / "run" / "expert_best.safetensors");
  const SafetensorsFile tensors(folder_ / "run" / "expert_best.safetensors");
  const auto& metadata = tensors.metadata();
  EXPECT_EQ(metadata.at("model"), "resnet9");
  EXPECT_EQ(metadata.at("classes"), "10");
  EXPECT_EQ(metadata.at("width"), "0.125");
  EXPECT_EQ(metadata.at("expert"), "1");
  EXPECT_EQ(std::stod(metadata.at("validation_accuracy")), *best);
  EXPECT_EQ(metadata.at("epoch"), std::to_string(best - accuracy.begin() + 1));

  // The file alone gives that accuracy again.
  const Dataset all = data();
  const Split division = read_split(folder_ / "split", all);
  auto network = make_network({.name = "resnet9", .classes = 10, .width = 0.125}, 77);
  load_weights(*network, file);
  const BatchMaker batches(statistics_of(division, all.train), torch::kFloat32, 0);
  const Evaluation again =
      evaluate(*network, images_of(all.train, division.validation), batches, 10, 256, nullptr);
  EXPECT_EQ(again.accuracy(), *best);
}

TEST_F(ExpertsTest, TrainsOnImagesAndTargetsThatAreMixed) {
  split("split");
  const Result result = train(expert("split", {{"lr", 0.0}, {"label_smoothing", 0.1}}), "run");
  const Dataset all = data();
  const Split division = read_split(folder_ / "split", all);
  const ImageSet part = images_of(all.train, division.experts[0]);
  auto network = make_network({.name = "resnet9", .classes = 10, .width = 0.125}, 0);
  const BatchMaker batches(statistics_of(division, all.train), torch::kFloat32, 0, {.cutout = 0});
  ShardedSampler sampler(part.size(), 24, 0, 0, 1);
  const MixedBatch batch =
      mixed_batch(batches, part, sampler.batch(0, 0), 0, 10, {.mixup = 0.2, .cutmix = 1.0}, 0);
  const auto likelihood = torch::log_softmax(network->forward(batch.images).to(torch::kFloat64), 1);
  const double loss = -((batch.targets * 0.9 + 0.01) * likelihood).sum(1).mean().item<double>();
  EXPECT_NEAR(result.metrics.column("step", "loss").front(), loss, 1e-5);
}

/// Without batch normalisation the ranks together compute what one does.
TEST_F(ExpertsTest, GivesTwoRanksTheMixedBatchesOfOne) {
  split("split");
  const Task task = expert("split", {{"network", "plain9"}, {"precision", "fp64"}, {"epochs", 1}});
  const auto one = train(task, "one").metrics.column("step", "loss"),
             two = train(task, "two", 2).metrics.column("step", "loss");
  ASSERT_EQ(one.size(), 6U);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_NEAR(two[i], one[i], 1e-7) << i;
}

class ExpertsResume : public ExpertsTest, public ::testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, ExpertsResume, ::testing::Values(1, 2));

/// Stopped within an epoch, at its end, and after the last step; with an abandoned attempt's best in the
/// artifacts, or none.
TEST_P(ExpertsResume, BitForBitWithTheBestSoFar) {
  const int ranks = GetParam();
  split("split");
  const Task task = expert("split");
  const Result whole = train(task, "whole", ranks);
  for (const std::int64_t stop : {2, 6, 11, 18}) {
    const std::string place = "stopped-" + std::to_string(stop);
    const Result first = train(task, place, ranks, [stop](std::int64_t step) {
      return step == stop ? AfterStep::save_and_stop : AfterStep::go_on;
    });
    EXPECT_EQ(first.outcome, Outcome::stopped);
    const fs::path best = folder_ / place / "expert_best.safetensors";
    if (stop == 11) write_durably(best, "of an attempt that was abandoned");
    if (stop == 18) fs::remove(best);
    const Result second = train(task, place, ranks);
    EXPECT_EQ(second.outcome, Outcome::finished);
    EXPECT_EQ(weights(place), weights("whole")) << "stopped after step " << stop;
    EXPECT_EQ(weights(place, "expert_best"), weights("whole", "expert_best"))
        << "stopped after step " << stop;
    for (const auto& [table, column] :
         {std::pair{"step", "loss"}, {"epoch", "validation_loss"}, {"best", "epoch"}}) {
      const auto rows = column_of_attempts({&first.metrics, &second.metrics}, table, column);
      EXPECT_EQ(rows, whole.metrics.column(table, column)) << table << ", stopped after " << stop;
    }
  }
}

/// CIFAR-10 files of noise, in which some images can be replaced by others.
class ExpertsSeeOnlyTheirPart : public ExpertsTest {
 protected:
  static constexpr int kTestImages = 10;

  /// Writes the data and a split of them; `replaced` training images, and all test images if asked, differ.
  void make(const std::string& place, const std::vector<std::int64_t>& replaced, bool test_too = false) {
    const std::set<std::int64_t> others(replaced.begin(), replaced.end());
    for (int batch = 0; batch < 5; ++batch) {
      std::vector<std::uint8_t> bytes;
      for (int i = 48 * batch; i < 48 * (batch + 1); ++i) add_image(bytes, i, others.contains(i));
      testing::write_bytes(folder_ / place / "data" / ("data_batch_" + std::to_string(batch + 1) + ".bin"),
                           bytes);
    }
    std::vector<std::uint8_t> bytes;
    for (int i = 0; i < kTestImages; ++i) add_image(bytes, 1000 + i, test_too);
    testing::write_bytes(folder_ / place / "data" / "test_batch.bin", bytes);
    split(place + "/split", {{"data.path", (folder_ / place / "data").string()}, {"data.samples", 0}});
  }

  Split division(const std::string& place) {
    return read_split(folder_ / place / "split", load_dataset({.path = (folder_ / place / "data").string()}));
  }

  Result train_in(const std::string& place, const Parameters& more = {}) {
    Parameters given{{"data.path", (folder_ / place / "data").string()},
                     {"data.samples", 0},
                     {"data.test_samples", 0},
                     {"epochs", 2}};
    for (const auto& [name, value] : more) given[name] = value;
    return train(expert(place + "/split", given), place);
  }

 private:
  static void add_image(std::vector<std::uint8_t>& bytes, int image, bool other) {
    std::uint32_t state = static_cast<std::uint32_t>(image) * 2 + (other ? 1 : 0) + 1;
    bytes.push_back(static_cast<std::uint8_t>(image % 10));
    for (int p = 0; p < 3072; ++p) {
      state = state * 1664525U + 1013904223U;
      bytes.push_back(static_cast<std::uint8_t>(state >> 24));
    }
  }
};

TEST_F(ExpertsSeeOnlyTheirPart, TestImagesChangeNothingAtAll) {
  make("as-is", {});
  make("poisoned", {}, true);
  const Result as_is = train_in("as-is"), poisoned = train_in("poisoned");
  EXPECT_EQ(weights("poisoned"), weights("as-is"));
  EXPECT_EQ(weights("poisoned", "expert_best"), weights("as-is", "expert_best"));
  EXPECT_EQ(poisoned.metrics.column("epoch", "validation_loss"),
            as_is.metrics.column("epoch", "validation_loss"));
}

TEST_F(ExpertsSeeOnlyTheirPart, HeldOutImagesChangeNoStep) {
  make("as-is", {});
  make("poisoned", division("as-is").holdout);
  const Result as_is = train_in("as-is"), poisoned = train_in("poisoned");
  EXPECT_EQ(division("poisoned").holdout, division("as-is").holdout);
  EXPECT_EQ(poisoned.metrics.column("step", "loss"), as_is.metrics.column("step", "loss"));
  EXPECT_EQ(weights("poisoned"), weights("as-is"));
  EXPECT_NE(poisoned.metrics.column("epoch", "validation_loss"),
            as_is.metrics.column("epoch", "validation_loss"))
      << "validation is in the hold-out";
}

TEST_F(ExpertsSeeOnlyTheirPart, AnotherExpertsOwnImagesChangeNothing) {
  make("as-is", {});
  const Split made = division("as-is");
  std::vector<std::int64_t> of_the_other;
  std::set_difference(made.experts[1].begin(), made.experts[1].end(), made.experts[0].begin(),
                      made.experts[0].end(), std::back_inserter(of_the_other));
  ASSERT_EQ(of_the_other.size(), 48U);
  make("poisoned", of_the_other);
  const Parameters fixed{{"normalise", "imagenet"}};
  train_in("as-is", fixed);
  train_in("poisoned", fixed);
  EXPECT_EQ(weights("poisoned", "expert_best"), weights("as-is", "expert_best"));
  EXPECT_EQ(weights("poisoned"), weights("as-is"));

  make("own", {made.experts[0].back()});
  train_in("own", fixed);
  EXPECT_NE(weights("own"), weights("as-is")) << "one image of its own";
}

TEST_F(ExpertsTest, RefusesASplitThatLeaksBeforeAnyStep) {
  split("split");
  const Split made = read_split(folder_ / "split", data());
  std::vector<std::int64_t> leaking = made.experts[0];
  leaking.back() = made.validation.back();
  write_indices(folder_ / "split" / "expert_0_indices.npy", leaking);
  const Error error = error_thrown_by([&] { train(expert("split"), "run"); });
  EXPECT_EQ(error.code(), ExitCode::data);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("expert 0"), HasSubstr("validation")));
  EXPECT_FALSE(fs::exists(folder_ / "run" / "final.safetensors"));
}

TEST_F(ExpertsTest, RefusesWhatDoesNotGoTogether) {
  split("split");
  const auto problem = [&](const Parameters& more, ExitCode code) {
    const Error error = error_thrown_by([&] { train(expert("split", more), "run"); });
    EXPECT_EQ(error.code(), code) << error.what();
    return std::string(error.what());
  };
  EXPECT_THAT(problem({{"expert", 2}}, ExitCode::config),
              AllOf(HasSubstr("no expert 2"), HasSubstr("for 2")));
  EXPECT_THAT(problem({{"data.seed", 1}}, ExitCode::data), HasSubstr("other training images"));
  EXPECT_THAT(problem({{"split", (folder_ / "none").string()}}, ExitCode::data), HasSubstr("is no split"));
  EXPECT_THAT(
      problem({{"exchange.momentum_correction", true}, {"exchange.compressor", "topk"}}, ExitCode::config),
      HasSubstr("adamw"));
  EXPECT_THAT(problem({{"batch", 145}}, ExitCode::config), HasSubstr("144 training samples"));
}

}  // namespace
}  // namespace muster::workloads
