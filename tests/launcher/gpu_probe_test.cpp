#include "launcher/gpu_probe.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

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

/// The whole way through dlopen, with a driver library that tests/support builds.
TEST(GpuProbe, AsksTheDriver) {
  testing::TemporaryFolder folder;
  const std::map<std::string, std::string> environment{{"LD_LIBRARY_PATH", MUSTER_FAKE_NVML_FOLDER},
                                                       {"FAKE_NVML_GPUS", "3"}};
  testing::Process probe({MUSTER_PRINT_GPUS}, {environment, {}, folder / "out", {}});
  EXPECT_EQ(probe.wait(), 0);
  EXPECT_EQ(testing::text_of(folder / "out"),
            "Fake GPU 0|GPU-fake-0|1024\nFake GPU 1|GPU-fake-1|1024\nFake GPU 2|GPU-fake-2|1024\n");
}

TEST(GpuProbe, FindsNoneWhereTheDriverDoesNotStart) {
  testing::TemporaryFolder folder;
  const std::map<std::string, std::string> environment{{"LD_LIBRARY_PATH", MUSTER_FAKE_NVML_FOLDER},
                                                       {"FAKE_NVML_GPUS", "none"}};
  testing::Process probe({MUSTER_PRINT_GPUS}, {environment, {}, folder / "out", {}});
  EXPECT_EQ(probe.wait(), 0);
  EXPECT_EQ(testing::text_of(folder / "out"), "");
}

}  // namespace
}  // namespace muster
