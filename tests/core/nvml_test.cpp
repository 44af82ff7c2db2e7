#include "core/nvml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::IsEmpty;

const std::vector<FoundGpu> kTwo = {{"H200", "GPU-5e01", "0000:17:00.0", 1},
                                    {"H200", "GPU-5f02", "0000:65:00.0", 1}};

TEST(GpuNamed, FollowsTheRulesOfCudaVisibleDevices) {
  EXPECT_EQ(gpu_named(kTwo, "1")->uuid, "GPU-5f02");
  EXPECT_EQ(gpu_named(kTwo, "GPU-5e")->uuid, "GPU-5e01");
  for (const char* absent : {"2", "GPU-6", "", "-1", "1x"}) EXPECT_FALSE(gpu_named(kTwo, absent)) << absent;
}

/// The whole way through dlopen, with a driver library that tests/support builds.
class NvmlTest : public ::testing::Test {
 protected:
  std::string print(const std::string& gpus, const std::vector<std::string>& names = {},
                    const std::string& slices = "0") {
    const std::map<std::string, std::string> environment{
        {"LD_LIBRARY_PATH", MUSTER_FAKE_NVML_FOLDER}, {"FAKE_NVML_GPUS", gpus}, {"FAKE_NVML_SLICES", slices}};
    std::vector<std::string> argv{MUSTER_PRINT_GPUS};
    argv.insert(argv.end(), names.begin(), names.end());
    const std::filesystem::path out = folder_ / "out";
    std::filesystem::remove(out);
    testing::Process program(argv, {environment, {}, out, {}});
    EXPECT_EQ(program.wait(), 0);
    return testing::text_of(out);
  }
  testing::TemporaryFolder folder_;
};

TEST_F(NvmlTest, ShowsTheGpusThatThisProcessMayUse) {
  EXPECT_EQ(print("4"),
            "Fake GPU 0|GPU-fake-0|0000:17:00.0|1024\n"
            "Fake GPU 1|GPU-fake-1|0000:18:00.0|1024\n"
            "Fake GPU 3|GPU-fake-3|0000:1a:00.0|1024\n");
}

TEST_F(NvmlTest, ReadsWhatAGpuTells) {
  EXPECT_EQ(print("4", {"0", "GPU-fake-1", "2", "3", "MIG-fake-1", "MIG-fake-2"}, "2"),
            "GPU-fake-0|0000:17:00.0|24|0.87|412.500|35.250\n"
            "GPU-fake-1|0000:18:00.0|24|0.87|412.500|-1.000\n"
            "GPU-fake-3|0000:1a:00.0|24|0.87|412.500|35.250\n"
            "missing\n"
            "MIG-fake-1|0000:18:00.0|24|-1.00|-1.000|-1.000\n"
            "missing\n");
}

TEST_F(NvmlTest, SlicesAreSlotsOfTheirOwn) {
  EXPECT_EQ(print("4", {"slots"}), "0\n1\n2\n")
      << "the second of four is hidden, and the third has its number";
  EXPECT_EQ(print("2", {"slots"}, "3"), "GPU-fake-0\nMIG-fake-0\nMIG-fake-1\nMIG-fake-2\n");
}

TEST_F(NvmlTest, ShowsNoneWhereTheDriverDoesNotStart) {
  EXPECT_THAT(print("none"), IsEmpty());
  EXPECT_EQ(print("none", {"0"}), "missing\n");
}

}  // namespace
}  // namespace muster
