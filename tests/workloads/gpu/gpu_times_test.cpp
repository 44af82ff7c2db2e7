/// Times and numbers of a device, as a host gets to know them.

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <vector>

#include "tests/workloads/gpu/gpu_training.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/host_values.hpp"
#include "workloads/common/time_mark.hpp"

namespace muster::workloads {
namespace {

class GpuTimes : public testing::GpuTrainingTest {
 protected:
  /// Keeps a device at work for a while, a real GPU at least for milliseconds.
  static void work_on(torch::Device device) {
    auto product = torch::ones({512, 512}, torch::TensorOptions(device)) / 512;
    for (int i = 0; i < (device.is_cpu() ? 1 : 100); ++i) product = product.mm(product);
  }
  static std::vector<torch::Device> devices() { return {torch::kCPU, compute_device(testing::kOneGpu)}; }
};

TEST_F(GpuTimes, HostValuesAreThoseOfTheirMoment) {
  for (const torch::Device device : devices()) {
    const auto loss = torch::full({}, 2.5, torch::TensorOptions(device));
    const auto other = torch::full({}, -1e-3, torch::TensorOptions(device));
    const HostValues values({loss, other});
    loss.fill_(7);
    work_on(device);
    EXPECT_EQ(values.get(), (std::vector{2.5, static_cast<double>(-1e-3F)})) << device;
  }
}

TEST_F(GpuTimes, ASumTakesEachTimeOnceAndOnlyWhatIsOver) {
  for (const torch::Device device : devices()) {
    TimeSum sum;
    const TimeMark begin(device);
    work_on(device);
    const TimeMark end(device);
    sum.add(begin, end);
    wait_for(device);
    EXPECT_TRUE(end.reached()) << device;
    EXPECT_EQ(sum.take_reached(), end.seconds_since(begin)) << device;
    EXPECT_GT(end.seconds_since(begin), 0) << device;
    EXPECT_EQ(sum.take_reached(), 0) << device;
  }
}

}  // namespace
}  // namespace muster::workloads
