#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <map>
#include <numeric>
#include <set>

#include "core/durable_file.hpp"
#include "core/index_file.hpp"
#include "tests/workloads/data_files.hpp"
#include "workloads/common/data/split_folder.hpp"
#include "workloads/common/data/synthetic.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using Indices = std::vector<std::int64_t>;
using ::testing::AllOf;
using testing::error_thrown_by;
using ::testing::HasSubstr;

std::set<std::int64_t> set_of(const Indices& indices) { return {indices.begin(), indices.end()}; }

Indices common_of(const Indices& a, const Indices& b) {
  Indices common;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(common));
  return common;
}

std::map<std::int64_t, std::int64_t> class_counts(const Indices& labels, const Indices& part) {
  std::map<std::int64_t, std::int64_t> counts;
  for (const auto label : labels) counts.try_emplace(label, 0);
  for (const auto image : part) ++counts[labels[static_cast<std::size_t>(image)]];
  return counts;
}

TEST(Split, HasTheMissionsCountsOnFiftyThousandImages) {
  Indices labels;
  for (std::int64_t i = 0; i < 50000; ++i) labels.push_back(i * 7 % 100);
  const Split split = make_split(labels, 100, {});
  EXPECT_EQ(split.holdout.size(), 10000U);
  EXPECT_EQ(split.validation.size(), 2000U);
  EXPECT_EQ(split.fusion_train.size(), 8000U);
  ASSERT_EQ(split.experts.size(), 4U);
  std::set<std::int64_t> everything = set_of(split.holdout);
  Indices shared = split.experts[0];
  for (const Indices& expert : split.experts) {
    EXPECT_EQ(expert.size(), 25000U);
    everything.insert(expert.begin(), expert.end());
    shared = common_of(shared, expert);
    for (const auto& [label, count] : class_counts(labels, expert)) EXPECT_EQ(count, 250) << label;
  }
  EXPECT_EQ(everything.size(), 50000U) << "every image has a use";
  EXPECT_EQ(shared.size(), 20000U);
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(common_of(split.experts[i], split.holdout).empty());
    for (std::size_t j = i + 1; j < 4; ++j)
      EXPECT_EQ(common_of(split.experts[i], split.experts[j]), shared)
          << "what is a part of its own is no other's";
  }
  for (const auto& [label, count] : class_counts(labels, split.holdout)) EXPECT_EQ(count, 100) << label;
  for (const auto& [label, count] : class_counts(labels, split.validation)) EXPECT_EQ(count, 20) << label;
}

TEST(Split, GivesEachClassItsShareWhereNothingDividesEvenly) {
  Indices labels;
  for (std::int64_t i = 0; i < 8336; ++i) labels.push_back(i % 97 % 10);
  const Split split = make_split(labels, 10, {.experts = 3, .seed = 5});
  const auto whole = class_counts(labels, [&] {
    Indices all(labels.size());
    std::iota(all.begin(), all.end(), 0);
    return all;
  }());
  const auto within_an_image = [&](const Indices& part, double share) {
    for (const auto& [label, count] : class_counts(labels, part))
      EXPECT_NEAR(static_cast<double>(count), share * static_cast<double>(whole.at(label)), 2) << label;
  };
  EXPECT_EQ(std::ssize(split.holdout), std::llround(0.2 * 8336));
  within_an_image(split.holdout, 0.2);
  within_an_image(split.validation, 0.04);
  for (const Indices& expert : split.experts) {
    within_an_image(expert, 0.8 * (0.5 + 0.5 / 3));
    EXPECT_NEAR(static_cast<double>(expert.size()), 6669 * (0.5 + 0.5 / 3), 1);
  }
}

TEST(Split, DependsOnTheSeedAlone) {
  Indices labels(1000);
  for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int64_t>(i % 10);
  const Split split = make_split(labels, 10, {.seed = 1}), same = make_split(labels, 10, {.seed = 1}),
              other = make_split(labels, 10, {.seed = 2});
  EXPECT_EQ(split.experts, same.experts);
  EXPECT_EQ(split.validation, same.validation);
  EXPECT_NE(split.holdout, other.holdout);
  EXPECT_NE(split.experts, other.experts);
}

TEST(Split, TakesOverAHoldoutThatIsThere) {
  const Indices labels(100, 0);
  const Indices holdout{90, 5, 7, 50, 51, 52, 53, 54, 55, 56};
  const Split split = make_split(labels, 1, {.experts = 2}, holdout);
  EXPECT_EQ(set_of(split.holdout), set_of(holdout));
  EXPECT_EQ(split.validation.size(), 2U);
  EXPECT_EQ(split.experts[0].size() + split.experts[1].size(), 45U + 90U);
  check_split(split, "it");
}

TEST(Split, LeavesNoPartEmpty) {
  const Indices labels{0, 0, 1, 1, 0, 1, 0, 1, 0, 1};
  const auto problem = [&](const SplitOptions& options, std::optional<Indices> holdout = std::nullopt) {
    const Error error = error_thrown_by([&] { make_split(labels, 2, options, holdout); });
    EXPECT_EQ(error.code(), ExitCode::config);
    return error.problem();
  };
  EXPECT_THAT(problem({.holdout = 0}), HasSubstr("hold-out"));
  EXPECT_THAT(problem({.holdout = 1}), HasSubstr("expert 0"));
  EXPECT_THAT(problem({.validation = 0}), HasSubstr("validation"));
  EXPECT_THAT(problem({.validation = 1}), HasSubstr("fusion"));
  EXPECT_THAT(problem({.experts = 9, .holdout = 0.3, .shared = 0}), HasSubstr("expert 7"));
  EXPECT_THAT(problem({}, Indices{}), HasSubstr("hold-out"));
}

TEST(Split, NamesTheFirstImageThatCrossesOver) {
  const Split good{
      .experts = {{0, 1, 2}, {0, 3}}, .holdout = {4, 5, 6}, .fusion_train = {4, 6}, .validation = {5}};
  check_split(good, "'here'");
  const auto problem = [&](const std::function<void(Split&)>& change) {
    Split bad = good;
    change(bad);
    const Error error = error_thrown_by([&] { check_split(bad, "'here'"); });
    EXPECT_EQ(error.code(), ExitCode::data);
    return error.problem();
  };
  EXPECT_THAT(
      problem([](Split& s) { s.experts[1].push_back(5); }),
      AllOf(HasSubstr("'here'"), HasSubstr("expert 1"), HasSubstr("validation"), HasSubstr("image 5")));
  EXPECT_THAT(problem([](Split& s) { s.experts[0].push_back(6); }),
              AllOf(HasSubstr("expert 0"), HasSubstr("hold-out"), HasSubstr("image 6")));
  EXPECT_THAT(problem([](Split& s) { s.fusion_train.push_back(5); }),
              AllOf(HasSubstr("fusion trains on"), HasSubstr("validation"), HasSubstr("image 5")));
  EXPECT_THAT(problem([](Split& s) { s.holdout.push_back(7); }), HasSubstr("not the 4 of the hold-out"));
  EXPECT_THAT(problem([](Split& s) { s.fusion_train.push_back(1); }), HasSubstr("3 of the hold-out"));
}

class SplitFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::fresh_folder();
    const Indices labels(data_.train.labels.const_data_ptr<std::int64_t>(),
                         data_.train.labels.const_data_ptr<std::int64_t>() + data_.train.size());
    split_ = make_split(labels, data_.classes, options_);
    write_split(folder_, split_, data_, options_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string refusal() {
    const Error error = error_thrown_by([&] { read_split(folder_, data_); });
    EXPECT_EQ(error.code(), ExitCode::data);
    return error.what();
  }

  Dataset data_ = make_synthetic({.classes = 10, .train_images = 200, .test_images = 10, .seed = 3});
  SplitOptions options_{.experts = 2, .seed = 4};
  Split split_;
  fs::path folder_;
};

TEST_F(SplitFolder, IsReadBackAsItWasWritten) {
  const Split read = read_split(folder_, data_);
  EXPECT_EQ(read.experts, split_.experts);
  EXPECT_EQ(read.holdout, split_.holdout);
  EXPECT_EQ(read.fusion_train, split_.fusion_train);
  EXPECT_EQ(read.validation, split_.validation);
  EXPECT_EQ(read_indices(folder_ / "expert_1_indices.txt", 200), split_.experts[1]);
  EXPECT_EQ(read_indices(folder_ / "fusion_holdout_indices.txt", 200), split_.holdout);
}

TEST_F(SplitFolder, IsOfItsOwnImagesAlone) {
  data_.train.images[7][3][3][1].add_(1);
  EXPECT_THAT(refusal(), HasSubstr("divides other training images: 200 of synthetic"));
  data_ = make_synthetic({.classes = 10, .train_images = 100, .test_images = 10, .seed = 3});
  EXPECT_THAT(refusal(), HasSubstr("not these 100"));
}

TEST_F(SplitFolder, RefusesAnIndexThatCrossesOver) {
  Indices expert = split_.experts[1];
  expert.back() = split_.validation.front();
  write_indices(folder_ / "expert_1_indices.npy", expert);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("expert 1"), HasSubstr("validation"),
                               HasSubstr("image " + std::to_string(split_.validation.front()))));
}

TEST_F(SplitFolder, RefusesAnIndexThatNoImageHas) {
  Indices expert = split_.experts[0];
  expert.back() = 200;
  write_indices(folder_ / "expert_0_indices.npy", expert);
  EXPECT_THAT(refusal(), AllOf(HasSubstr("expert_0_indices.npy"), HasSubstr("200 is outside")));
}

TEST_F(SplitFolder, RefusesPartsThatAreNotWhole) {
  Indices shorter = split_.fusion_train;
  shorter.pop_back();
  write_indices(folder_ / "fusion_train_indices.npy", shorter);
  EXPECT_THAT(refusal(),
              AllOf(HasSubstr("fusion_train_indices.npy"), HasSubstr("31 indices"), HasSubstr("32")));
  fs::remove(folder_ / "fusion_train_indices.npy");
  EXPECT_THAT(refusal(), HasSubstr("fusion_train_indices.npy"));
}

TEST_F(SplitFolder, RefusesADamagedDescription) {
  write_durably(folder_ / "split.json", "{\"format\": 1, \"data\": 3");
  EXPECT_THAT(refusal(), HasSubstr("split.json: it is damaged"));
  write_durably(folder_ / "split.json", "{\"format\": 1, \"data\": 3}");
  EXPECT_THAT(refusal(), HasSubstr("split.json: it is damaged"));
  write_durably(folder_ / "split.json",
                R"({"format": 1, "data": "d", "images": 200, "digest": "", "counts": {"experts": 3}})");
  EXPECT_THAT(refusal(), HasSubstr("split.json: it is damaged"));
  write_durably(folder_ / "split.json", "{\"format\": 2}");
  EXPECT_THAT(refusal(), HasSubstr("another version"));
  fs::remove(folder_ / "split.json");
  EXPECT_THAT(refusal(), AllOf(HasSubstr("is no split"), HasSubstr("split workload")));
}

TEST_F(SplitFolder, NormalisesByImagesOutsideOfTheHoldout) {
  const ChannelStatistics before = statistics_of(split_, data_.train);
  for (const auto image : split_.holdout) data_.train.images[image].fill_(255);
  EXPECT_EQ(statistics_of(split_, data_.train).mean, before.mean);
  data_.train.images[split_.experts[0].front()].fill_(255);
  EXPECT_NE(statistics_of(split_, data_.train).mean, before.mean);
}

TEST_F(SplitFolder, GivesTheImagesOfAPartInItsOrder) {
  const Indices order{5, 2, 190};
  const ImageSet part = images_of(data_.train, order);
  ASSERT_EQ(part.size(), 3);
  for (std::int64_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(torch::equal(part.images[i], data_.train.images[order[static_cast<std::size_t>(i)]]));
    EXPECT_EQ(part.labels[i].item<std::int64_t>(),
              data_.train.labels[order[static_cast<std::size_t>(i)]].item<std::int64_t>());
  }
  EXPECT_TRUE(part.images.is_contiguous());
}

}  // namespace
}  // namespace muster::workloads
