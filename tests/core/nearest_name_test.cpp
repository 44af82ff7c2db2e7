#include "core/nearest_name.hpp"

#include <gtest/gtest.h>

#include <random>

namespace muster {
namespace {

TEST(NearestName, CountsEditsAndSwaps) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("sede", "seed"), 1U);
  EXPECT_EQ(edit_distance("ranks", "ranks"), 0U);
}

TEST(NearestName, IsTheSameBothWaysAndAtMostTheLongerLength) {
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    std::string a(random() % 8, 'x');
    std::string b(random() % 8, 'x');
    for (char& c : a) c = static_cast<char>('a' + random() % 3);
    for (char& c : b) c = static_cast<char>('a' + random() % 3);
    EXPECT_EQ(edit_distance(a, b), edit_distance(b, a)) << a << " " << b;
    EXPECT_LE(edit_distance(a, b), std::max(a.size(), b.size()));
    EXPECT_EQ(edit_distance(a, b) == 0, a == b);
  }
}

TEST(NearestName, GivesTheClosestOrNone) {
  const std::vector<std::string> known = {"ranks", "cpus_per_rank", "gpus_per_rank"};
  EXPECT_EQ(nearest_name("rank", known), "ranks");
  EXPECT_EQ(nearest_name("gpu_per_rank", known), "gpus_per_rank");
  EXPECT_EQ(nearest_name("colour", known), std::nullopt);
  EXPECT_EQ(nearest_name("", known), std::nullopt);
  EXPECT_EQ(nearest_name(std::string(1'000'000, 'r'), known), std::nullopt);
}

TEST(NearestName, AdvisesTheNearestElseAllElseThatThereAreNone) {
  EXPECT_EQ(name_advice("lrr", {"lr", "width"}), "did you mean 'lr'?");
  EXPECT_EQ(name_advice("momentum", {"lr", "width"}), "known are: lr, width");
  EXPECT_EQ(name_advice("lr", {}), "nothing can be given here");
}

}  // namespace
}  // namespace muster
