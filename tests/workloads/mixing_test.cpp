#include "workloads/common/data/mixing.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace muster::workloads {
namespace {

constexpr std::int64_t kImages = 50;

/// Image i is all of the byte 5i, of the class i mod 10.
ImageSet plain_images() {
  ImageSet set;
  set.images = torch::empty({kImages, kImageSide, kImageSide, kImageChannels}, torch::kUInt8);
  set.labels = torch::empty({kImages}, torch::kInt64);
  for (std::int64_t i = 0; i < kImages; ++i) {
    set.images[i].fill_(5 * i);
    set.labels[i].fill_(i % 10);
  }
  return set;
}

/// So that pixels of a batch are the bytes, by 255.
BatchMaker plain_batches(torch::Dtype type = torch::kFloat64) {
  return {{{0, 0, 0}, {1, 1, 1}}, type, 1, {.crop_padding = 0, .flip = false, .cutout = 0}};
}

struct Moments {
  double mean = 0, variance = 0;
};
Moments shares_of(const MixingOptions& options) {
  constexpr int kDraws = 20000;
  Moments moments;
  std::vector<double> shares;
  for (int i = 0; i < kDraws; ++i) {
    shares.push_back(draw_mixture(options, 3, i % 7, i, kImages).share);
    moments.mean += shares.back() / kDraws;
  }
  for (const double share : shares)
    moments.variance += (share - moments.mean) * (share - moments.mean) / (kDraws - 1);
  return moments;
}

/// Beta(a, a) has the variance 1 / (4 (2a + 1)); the tolerances are four standard errors.
TEST(Mixing, DrawsMixupsSharesFromABetaDistribution) {
  for (const double alpha : {0.001, 0.2, 0.5, 1.0}) {
    const Moments moments = shares_of({.mixup = alpha});
    EXPECT_NEAR(moments.mean, 0.5, 0.015) << alpha;
    EXPECT_NEAR(moments.variance, 1 / (4 * (2 * alpha + 1)), 0.0035) << alpha;
  }
}

TEST(Mixing, CutsABoxWhoseAreaIsThePartnersShare) {
  int boxes = 0;
  for (int i = 0; i < 500; ++i) {
    const Mixture m = draw_mixture({.cutmix = 1}, 3, 0, i, kImages);
    ASSERT_TRUE(m.cut);
    ASSERT_TRUE(0 <= m.top && m.top <= m.bottom && m.bottom <= 32 && 0 <= m.left && m.left <= m.right &&
                m.right <= 32);
    EXPECT_DOUBLE_EQ(m.share, 1 - (m.bottom - m.top) * (m.right - m.left) / 1024.0);
    boxes += m.bottom - m.top > 8;
  }
  EXPECT_GT(boxes, 250);
}

TEST(Mixing, DrawsEachKindForHalfOfTheImages) {
  int cut = 0;
  for (int i = 0; i < 10000; ++i) cut += draw_mixture({.mixup = 0.2, .cutmix = 1}, 3, 0, i, kImages).cut;
  EXPECT_NEAR(cut, 5000, 200) << "four standard errors";
}

TEST(Mixing, ChoosesEveryPartnerAlike) {
  std::vector<int> chosen(kImages, 0);
  for (int i = 0; i < 20000; ++i)
    ++chosen[static_cast<std::size_t>(draw_mixture({.mixup = 1}, 3, 0, i, kImages).partner)];
  for (const int count : chosen) EXPECT_NEAR(count, 400, 80) << "four standard errors";
}

TEST(Mixing, AveragesPixelsAndLabelsByTheShare) {
  const ImageSet set = plain_images();
  const std::vector<std::int64_t> samples{3, 17, 40, 49};
  const MixingOptions options{.mixup = 1};
  const MixedBatch batch = mixed_batch(plain_batches(), set, samples, 2, 10, options, 9);
  ASSERT_TRUE(batch.images.is_contiguous(torch::MemoryFormat::ChannelsLast));
  for (std::int64_t i = 0; i < 4; ++i) {
    const auto sample = samples[static_cast<std::size_t>(i)];
    const Mixture m = draw_mixture(options, 9, 2, sample, kImages);
    const double value =
        (m.share * 5 * static_cast<double>(sample) + (1 - m.share) * 5 * static_cast<double>(m.partner)) /
        255;
    EXPECT_LT((batch.images[i] - value).abs().max().item<double>(), 1e-14);
    auto target = torch::zeros({10}, torch::kFloat64);
    target[sample % 10] += m.share;
    target[m.partner % 10] += 1 - m.share;
    EXPECT_TRUE(torch::equal(batch.targets[i], target));
  }
}

TEST(Mixing, PutsThePartnersBoxIntoTheImageExactly) {
  const ImageSet set = plain_images();
  const std::vector<std::int64_t> samples{0, 8, 21};
  const MixingOptions options{.cutmix = 1};
  for (const auto type : {torch::kFloat32, torch::kBFloat16}) {
    const auto batches = plain_batches(type);
    const MixedBatch batch = mixed_batch(batches, set, samples, 0, 10, options, 9);
    for (std::int64_t i = 0; i < 3; ++i) {
      const auto sample = samples[static_cast<std::size_t>(i)];
      const Mixture m = draw_mixture(options, 9, 0, sample, kImages);
      auto expected = batches.evaluation_batch(set, sample, sample + 1)[0].clone();
      const auto partner = batches.evaluation_batch(set, m.partner, m.partner + 1)[0];
      for (int y = m.top; y < m.bottom; ++y) {
        for (int x = m.left; x < m.right; ++x)
          expected.select(1, y).select(1, x).copy_(partner.select(1, y).select(1, x));
      }
      EXPECT_TRUE(torch::equal(batch.images[i], expected)) << sample;
    }
  }
}

/// Ranks see parts of a batch, and a resumed training sees it anew.
TEST(Mixing, MakesTheSameOfAnImageInAnyBatch) {
  const ImageSet set = plain_images();
  const BatchMaker batches({{0.5, 0.4, 0.3}, {0.2, 0.2, 0.2}}, torch::kFloat32, 1, {});
  const MixingOptions options{.mixup = 0.2, .cutmix = 1};
  const std::vector<std::int64_t> together{4, 11, 30}, alone{11};
  const MixedBatch whole = mixed_batch(batches, set, together, 5, 10, options, 9),
                   part = mixed_batch(batches, set, alone, 5, 10, options, 9),
                   later = mixed_batch(batches, set, alone, 6, 10, options, 9);
  EXPECT_TRUE(torch::equal(whole.images[1], part.images[0]));
  EXPECT_TRUE(torch::equal(whole.targets[1], part.targets[0]));
  EXPECT_FALSE(torch::equal(whole.images[1], later.images[0]));
}

}  // namespace
}  // namespace muster::workloads
