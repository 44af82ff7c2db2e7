#include "runner/device_plan.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"

namespace muster {
namespace {

Resources two_ranks_with(int gpus_per_rank) {
  Resources resources;
  resources.ranks = 2;
  resources.cpus_per_rank = 3;
  resources.gpus_per_rank = gpus_per_rank;
  return resources;
}

TEST(DevicePlan, TakesTheListOfItsRank) {
  const DevicePlan plan = plan_device(two_ranks_with(0), 1, {"0-1,4;2-3", nullptr, nullptr});
  EXPECT_EQ(plan.cpus, (std::vector<int>{2, 3}));
  EXPECT_EQ(plan.device.threads, 2);
  EXPECT_EQ(plan_device(two_ranks_with(0), 0, {"0-1,4;2-3", nullptr, nullptr}).cpus,
            (std::vector<int>{0, 1, 4}));
}

TEST(DevicePlan, LeavesTheBindingAloneWithoutLists) {
  const DevicePlan plan = plan_device(two_ranks_with(0), 1, {nullptr, nullptr, nullptr});
  EXPECT_TRUE(plan.cpus.empty());
  EXPECT_EQ(plan.device.threads, 3);
  EXPECT_EQ(plan.device.kind, Device::Kind::cpu);
  EXPECT_FALSE(plan.cuda_visible_devices.has_value());
}

TEST(DevicePlan, NeverSharesAGpu) {
  EXPECT_EQ(plan_device(two_ranks_with(2), 0, {nullptr, nullptr, "4,5,6,7"}).cuda_visible_devices, "4,5");
  EXPECT_EQ(plan_device(two_ranks_with(2), 1, {nullptr, nullptr, "4,5,6,7"}).cuda_visible_devices, "6,7");
  EXPECT_EQ(plan_device(two_ranks_with(1), 1, {nullptr, nullptr, "GPU-a,GPU-b"}).cuda_visible_devices,
            "GPU-b");
}

TEST(DevicePlan, SharesAGpuWhereThatIsAskedFor) {
  Resources halves = two_ranks_with(1);
  halves.ranks_per_gpu = 2;
  halves.gpu_sharing = GpuSharing::mps;
  const auto gpu_of = [&](int rank, const char* lists, const char* devices) {
    return plan_device(halves, rank, {nullptr, lists, devices}).cuda_visible_devices.value_or("");
  };
  EXPECT_EQ(gpu_of(0, "5;5;7", "5,7") + gpu_of(1, "5;5;7", "5,7") + gpu_of(2, "5;5;7", "5,7"), "557");
  EXPECT_EQ(gpu_of(0, nullptr, "5,7") + gpu_of(1, nullptr, "5,7") + gpu_of(2, nullptr, "5,7"), "557")
      << "Slurm names GPUs of the step";
  EXPECT_THROW(gpu_of(4, nullptr, "5,7"), Error);
  EXPECT_THROW(gpu_of(3, "5;5;7", "5,7"), Error);
  EXPECT_EQ(plan_device(two_ranks_with(1), 1, {nullptr, "5;5", "5,7"}).cuda_visible_devices, "7")
      << "who shares nothing follows nobody's lists";
}

TEST(DevicePlan, RefusesTooFewGpusAndDamagedLists) {
  for (const char* devices : {static_cast<const char*>(nullptr), "", "0"})
    EXPECT_THROW(plan_device(two_ranks_with(1), 1, {nullptr, nullptr, devices}), Error);
  for (const char* cpus : {"0", "0;", "0;a", "0;1-", "0;-1", "0;999999"})
    EXPECT_THROW(plan_device(two_ranks_with(0), 1, {cpus, nullptr, nullptr}), Error) << cpus;
}

}  // namespace
}  // namespace muster
