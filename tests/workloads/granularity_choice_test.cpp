#include "workloads/common/compression/granularity_choice.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "core/error.hpp"
#include "tests/workloads/rank_threads.hpp"

namespace muster::workloads {
namespace {

using Gradients = std::vector<std::vector<float>>;

std::vector<LayerChoice> chosen(const CompressionOptions& options, const std::vector<Gradients>& of_ranks) {
  const Gradients& first = of_ranks.front();
  std::vector<Layer> layers;
  for (const auto& values : first)
    layers.push_back({"layer " + std::to_string(layers.size()), static_cast<std::uint32_t>(layers.size()),
                      static_cast<std::int64_t>(values.size()), 1});
  std::vector<std::vector<LayerChoice>> found(of_ranks.size());
  on_ranks(static_cast<int>(of_ranks.size()), [&](Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    std::vector<const float*> places;
    for (const auto& values : of_ranks[rank]) places.push_back(values.data());
    found[rank] = choose_joined(communicator, options, 1, layers, places);
  });
  for (const auto& one : found) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      EXPECT_EQ(one[i].joined, found[0][i].joined);
      EXPECT_EQ(one[i].joined_error, found[0][i].joined_error);
    }
  }
  return found[0];
}

std::vector<float> filled(std::size_t count, float value) { return std::vector<float>(count, value); }

TEST(GranularityChoice, LetsTopkMoveWhatItKeepsToWhereItCounts) {
  // Each by itself, half of the elements of each: all energy of the second's other half is lost, and the
  // bytes spent on the first buy nothing. Together the second is kept whole.
  const auto choices = chosen({.method = "topk", .ratio = 0.5}, {{filled(100, 1e-3F), filled(100, 1.0F)}});
  EXPECT_DOUBLE_EQ(choices[1].alone_bytes, 50 * 8);
  EXPECT_NEAR(choices[1].alone_error, 50, 1e-9);
  EXPECT_NEAR(choices[1].square_norm, 100, 1e-9);
  EXPECT_DOUBLE_EQ(choices[1].joined_bytes, 100 * 8);
  EXPECT_NEAR(choices[1].joined_error, 0, 1e-12);
  EXPECT_DOUBLE_EQ(choices[0].joined_bytes, 0);
  EXPECT_TRUE(choices[0].joined);
  EXPECT_TRUE(choices[1].joined);
}

TEST(GranularityChoice, LeavesLayersOfOtherScalesToThemselvesWhereAScaleIsShared) {
  std::vector<float> ramp(512);
  std::iota(ramp.begin(), ramp.end(), -256.0F);
  std::vector<float> small = ramp;
  for (float& value : small) value *= 1e-4F;
  const auto choices = chosen({.method = "qsgd", .levels = 127}, {{ramp, small, ramp}});
  EXPECT_FALSE(choices[1].joined);
  EXPECT_LT(choices[1].alone_error, 0.2 * choices[1].square_norm);
  EXPECT_GT(choices[1].joined_error, choices[1].alone_error);
}

TEST(GranularityChoice, JoinsNothingWhereNothingIsGained) {
  for (const char* method : {"none", "fp16"}) {
    for (const LayerChoice& choice : chosen({.method = method}, {{filled(10, 1.0F), filled(20, 2.0F)}}))
      EXPECT_FALSE(choice.joined) << method;
  }
  EXPECT_FALSE(chosen({.method = "topk", .ratio = 0.5}, {{filled(10, 1.0F)}})[0].joined) << "a single layer";
  for (const LayerChoice& choice : chosen({.method = "topk"}, {{filled(10, 0.0F), filled(20, 0.0F)}}))
    EXPECT_EQ(choice.alone_error, 0) << "zeros";
}

TEST(GranularityChoice, CountsTheMeanOfAllRanks) {
  const auto choices = chosen({.method = "topk", .ratio = 0.5}, {{filled(100, 1.0F), filled(100, 1e-3F)},
                                                                 {filled(100, 3.0F), filled(100, 1e-3F)}});
  EXPECT_NEAR(choices[0].square_norm, (100 + 900) / 2.0, 1e-9);
  EXPECT_NEAR(choices[0].alone_error, (50 + 450) / 2.0, 1e-9);
}

TEST(GranularityChoice, NamesALayerThatIsNotFinite) {
  try {
    chosen({.method = "topk"}, {{filled(10, 1.0F), filled(3, std::numeric_limits<float>::infinity())}});
    FAIL() << "took it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::diverged);
    EXPECT_NE(error.problem().find("layer 1"), std::string::npos);
  }
}

}  // namespace
}  // namespace muster::workloads
