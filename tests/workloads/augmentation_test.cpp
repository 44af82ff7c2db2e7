#include "workloads/common/data/augmentation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "core/error.hpp"
#include "workloads/common/data/synthetic.hpp"
#include "workloads/common/data/whitening.hpp"

namespace muster::workloads {
namespace {

Dataset small() { return make_synthetic({.classes = 10, .train_images = 64, .test_images = 20, .seed = 3}); }

std::vector<std::int64_t> first(std::int64_t count) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), std::int64_t{0});
  return samples;
}

// What the batch maker does, by ATen's operators.
torch::Tensor normalised(const ImageSet& set, const ChannelStatistics& statistics) {
  const auto mean =
      torch::tensor({statistics.mean[0], statistics.mean[1], statistics.mean[2]}, torch::kFloat64);
  const auto deviation = torch::tensor(
      {statistics.deviation[0], statistics.deviation[1], statistics.deviation[2]}, torch::kFloat64);
  return ((set.images.to(torch::kFloat64) / 255 - mean) / deviation).permute({0, 3, 1, 2});
}

TEST(BatchMaker, EvaluationImagesAreNormalisedToMeanZeroAndDeviationOne) {
  const Dataset set = small();
  const auto statistics = channel_statistics(set.train);
  const BatchMaker maker(statistics, torch::kFloat64, 0);
  const auto batch = maker.evaluation_batch(set.train, 0, 64);
  EXPECT_TRUE(batch.is_contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::allclose(batch, normalised(set.train, statistics), 0, 1e-12));
  EXPECT_LT(batch.mean({0, 2, 3}).abs().max().item<double>(), 1e-12);
  EXPECT_LT((batch.std({0, 2, 3}, false) - 1).abs().max().item<double>(), 1e-9);
}

TEST(BatchMaker, DrawsDoNotDependOnTheBatch) {
  const Dataset set = small();
  const BatchMaker maker(channel_statistics(set.train), torch::kFloat32, 5);
  const auto all = maker.training_batch(set.train, first(64), 2);
  const std::vector<std::int64_t> some{40, 3, 17};
  const auto part = maker.training_batch(set.train, some, 2);
  for (std::size_t i = 0; i < some.size(); ++i)
    EXPECT_TRUE(torch::equal(part[static_cast<std::int64_t>(i)], all[some[i]]));
  EXPECT_FALSE(torch::equal(maker.training_batch(set.train, some, 3), part));
}

TEST(BatchMaker, EveryTrainingImageIsACropOfThePaddedOrMirroredImage) {
  const Dataset set = small();
  const auto statistics = channel_statistics(set.train);
  const BatchMaker maker(statistics, torch::kFloat64, 5, {.crop_padding = 4, .flip = true, .cutout = 0});
  const auto batch = maker.training_batch(set.train, first(64), 0);
  const auto plain = torch::constant_pad_nd(normalised(set.train, statistics), {4, 4, 4, 4}, 0);
  const auto mirrored = plain.flip(3);
  int flipped = 0;
  std::set<std::pair<int, int>> places;
  for (std::int64_t i = 0; i < 64; ++i) {
    int matches = 0;
    for (int y = 0; y < 9; ++y) {
      for (int x = 0; x < 9; ++x) {
        for (const auto* source : {&plain, &mirrored}) {
          const auto window = (*source)[i].slice(1, y, y + 32).slice(2, x, x + 32);
          if (!torch::allclose(batch[i], window, 0, 1e-12)) continue;
          ++matches;
          flipped += source == &mirrored;
          places.insert({y, x});
        }
      }
    }
    EXPECT_EQ(matches, 1) << "image " << i;
  }
  EXPECT_GT(flipped, 16);
  EXPECT_LT(flipped, 48);
  EXPECT_GT(places.size(), 30U);
}

TEST(BatchMaker, AlternatingFlipMirrorsEachImageInEveryOtherEpoch) {
  const Dataset set = small();
  const BatchMaker maker(channel_statistics(set.train), torch::kFloat32, 5,
                         {.crop_padding = 0, .flip = true, .cutout = 0, .alternate_flip = true});
  const auto plain = maker.evaluation_batch(set.train, 0, 64);
  const auto first_epoch = maker.training_batch(set.train, first(64), 0);
  const auto second = maker.training_batch(set.train, first(64), 1);
  EXPECT_TRUE(torch::equal(second, first_epoch.flip(3)));
  EXPECT_TRUE(torch::equal(maker.training_batch(set.train, first(64), 6), first_epoch));
  EXPECT_TRUE(torch::equal(maker.training_batch(set.train, first(64), 7), second));
  const auto untouched = (first_epoch == plain).flatten(1).all(1);
  const auto mirrored = (first_epoch == plain.flip(3)).flatten(1).all(1);
  EXPECT_TRUE((untouched ^ mirrored).all().item<bool>());
  EXPECT_GT(mirrored.sum().item<int>(), 16);
  EXPECT_LT(mirrored.sum().item<int>(), 48);
}

TEST(BatchMaker, ACropWithReflectPaddingIsAWindowOfTheMirroredBorder) {
  const Dataset set = small();
  const auto statistics = channel_statistics(set.train);
  const BatchMaker maker(statistics, torch::kFloat64, 5,
                         {.crop_padding = 2, .flip = true, .cutout = 0, .reflect = true});
  const auto batch = maker.training_batch(set.train, first(64), 3);
  const auto plain = torch::reflection_pad2d(normalised(set.train, statistics), {2, 2, 2, 2});
  const auto mirrored = plain.flip(3);
  std::set<std::pair<int, int>> places;
  for (std::int64_t i = 0; i < 64; ++i) {
    int matches = 0;
    for (int y = 0; y < 5; ++y) {
      for (int x = 0; x < 5; ++x) {
        for (const auto* source : {&plain, &mirrored}) {
          const auto window = (*source)[i].slice(1, y, y + 32).slice(2, x, x + 32);
          if (!torch::allclose(batch[i], window, 0, 1e-12)) continue;
          ++matches;
          places.insert({y, x});
        }
      }
    }
    EXPECT_EQ(matches, 1) << "image " << i;
  }
  EXPECT_GT(places.size(), 20U);
}

TEST(Whitening, MomentsAreThoseOfThePatchesThatAtenCutsOut) {
  const Dataset set = small();
  const auto statistics = channel_statistics(set.train);
  const auto images = normalised(set.train, statistics).slice(0, 0, 50);
  const auto patches = images.unfold(2, 2, 1).unfold(3, 2, 1).permute({0, 2, 3, 1, 4, 5}).reshape({-1, 12});
  const auto expected = patches.t().matmul(patches) / patches.size(0);
  EXPECT_EQ(patches.size(0), 50 * 31 * 31);
  EXPECT_TRUE(torch::allclose(patch_moments(set.train, 50, statistics), expected, 0, 1e-11));
  EXPECT_TRUE(
      torch::equal(patch_moments(set.train, 1000, statistics), patch_moments(set.train, 64, statistics)));
}

TEST(Whitening, FiltersAnswerWithoutCovariance) {
  const Dataset set = small();
  const auto moments = patch_moments(set.train, 64, channel_statistics(set.train));
  const double epsilon = 0.01;
  const auto filters = whitening_filters(moments, epsilon);
  EXPECT_EQ(filters.sizes(), (std::vector<std::int64_t>{24, 3, 2, 2}));
  EXPECT_TRUE(torch::equal(filters.slice(0, 12, 24), -filters.slice(0, 0, 12)));
  const auto rows = filters.slice(0, 0, 12).reshape({12, 12});
  const auto values = std::get<0>(torch::linalg_eigh(moments)).flip(0);
  const auto answers = rows.matmul(moments).matmul(rows.t());
  EXPECT_TRUE(torch::allclose(answers, torch::diag(values / (values + epsilon)), 0, 1e-9));
}

TEST(BatchMaker, CutoutBlanksOneSquareOfEachImage) {
  const Dataset set = small();
  const BatchMaker whole(channel_statistics(set.train), torch::kFloat32, 5,
                         {.crop_padding = 0, .flip = false, .cutout = 0});
  const BatchMaker holed(channel_statistics(set.train), torch::kFloat32, 5,
                         {.crop_padding = 0, .flip = false, .cutout = 8});
  const auto before = whole.training_batch(set.train, first(64), 0);
  const auto after = holed.training_batch(set.train, first(64), 0);
  const auto changed = (before != after).any(1);
  for (std::int64_t i = 0; i < 64; ++i) {
    const auto where = changed[i].nonzero();
    EXPECT_EQ(where.size(0), 64);
    const auto extent = std::get<0>(where.max(0)) - std::get<0>(where.min(0));
    EXPECT_EQ(extent.max().item<int>(), 7);
    EXPECT_EQ(after[i].abs().sum(0).index({changed[i]}).sum().item<float>(), 0);
  }
}

TEST(BatchMaker, PrecisionsHoldTheSameImages) {
  const Dataset set = small();
  const auto statistics = channel_statistics(set.train);
  const auto wide = BatchMaker(statistics, torch::kFloat64, 5).training_batch(set.train, first(64), 1);
  const auto half = BatchMaker(statistics, torch::kBFloat16, 5).training_batch(set.train, first(64), 1);
  EXPECT_EQ(half.scalar_type(), torch::kBFloat16);
  EXPECT_TRUE(torch::equal(half, wide.to(torch::kBFloat16)));
}

TEST(BatchMaker, RefusesOptionsThatDoNotFitAnImage) {
  EXPECT_THROW(BatchMaker({}, torch::kFloat32, 0, {.cutout = 33}), Error);
  EXPECT_THROW(BatchMaker({}, torch::kFloat32, 0, {.crop_padding = -1}), Error);
  EXPECT_THROW(BatchMaker({}, torch::kFloat32, 0, {.flip = false, .alternate_flip = true}), Error);
}

TEST(Synthetic, IsTheSameBitsForASeedAndOthersForAnother) {
  const Dataset set = small();
  EXPECT_TRUE(torch::equal(set.train.images, small().train.images));
  const Dataset other = make_synthetic({.classes = 10, .train_images = 64, .test_images = 20, .seed = 4});
  EXPECT_FALSE(torch::equal(set.train.images, other.train.images));
  EXPECT_FALSE(torch::equal(set.train.images.slice(0, 0, 20), set.test.images));
  EXPECT_EQ(set.class_names.size(), 10U);
  EXPECT_THROW(make_synthetic({.classes = 1}), Error);
}

}  // namespace
}  // namespace muster::workloads
