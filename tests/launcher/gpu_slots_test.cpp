#include "launcher/gpu_slots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(GpuSlots, AreThoseFound) {
  EXPECT_THAT(gpu_slots(3, std::nullopt, std::nullopt), ElementsAre("0", "1", "2"));
}

TEST(GpuSlots, FollowCudaVisibleDevices) {
  EXPECT_THAT(gpu_slots(0, "3,GPU-5e", std::nullopt), ElementsAre("3", "GPU-5e"));
  EXPECT_THAT(gpu_slots(4, "", std::nullopt), IsEmpty());
  EXPECT_THAT(gpu_slots(4, "1,-1,2", std::nullopt), ElementsAre("1"));
}

TEST(GpuSlots, AreAsManyAsDeclared) {
  EXPECT_THAT(gpu_slots(0, std::nullopt, 4), ElementsAre("0", "1", "2", "3"));
  EXPECT_THAT(gpu_slots(8, std::nullopt, 2), ElementsAre("0", "1"));
  EXPECT_THAT(gpu_slots(0, "5,1", 3), ElementsAre("5", "1", "0"));
  EXPECT_THAT(gpu_slots(2, std::nullopt, 0), IsEmpty());
}

}  // namespace
}  // namespace muster
