#include "workloads/common/cuda/load_kernels.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

using ::testing::HasSubstr;

std::string problem_with(const std::string& file) {
  try {
    load_device_compression(file);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::workload);
    return error.what();
  }
  return "none";
}

TEST(LoadKernels, NamesWhatIsWrongWithAModule) {
  EXPECT_THAT(problem_with(MUSTER_NO_MODULE), HasSubstr("exports no function muster_device_compression"));
  EXPECT_THAT(problem_with("nowhere.so"), HasSubstr("there is no such file; build muster where the CUDA"));
}

#ifdef MUSTER_CUDA_KERNELS
TEST(LoadKernels, NeedsNoGpuToBeLoaded) {
  const DeviceCompression& table = load_device_compression(MUSTER_CUDA_KERNELS);
  EXPECT_EQ(table.abi, kDeviceCompressionAbi);
  EXPECT_GT(table.scratch_bytes(1'000'000), 1'000'000UL / 8);
  EXPECT_EQ(load_device_layers(MUSTER_CUDA_KERNELS).abi, kDeviceLayersAbi);
}
#endif

}  // namespace
}  // namespace muster::workloads
