#include "launcher/gpu_slots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::string> kFour{"0", "1", "2", "3"};

TEST(GpuSlots, AreThoseFound) {
  EXPECT_THAT(gpu_slots({"0", "1", "MIG-7a"}, std::nullopt, std::nullopt), ElementsAre("0", "1", "MIG-7a"));
}

TEST(GpuSlots, FollowCudaVisibleDevices) {
  EXPECT_THAT(gpu_slots({}, "3,GPU-5e", std::nullopt), ElementsAre("3", "GPU-5e"));
  EXPECT_THAT(gpu_slots(kFour, "", std::nullopt), IsEmpty());
  EXPECT_THAT(gpu_slots(kFour, "1,-1,2", std::nullopt), ElementsAre("1"));
}

TEST(GpuSlots, AreAsManyAsDeclared) {
  EXPECT_THAT(gpu_slots({}, std::nullopt, 4), ElementsAre("0", "1", "2", "3"));
  EXPECT_THAT(gpu_slots(kFour, std::nullopt, 2), ElementsAre("0", "1"));
  EXPECT_THAT(gpu_slots({}, "5,1", 3), ElementsAre("5", "1", "0"));
  EXPECT_THAT(gpu_slots(kFour, std::nullopt, 0), IsEmpty());
}

}  // namespace
}  // namespace muster
