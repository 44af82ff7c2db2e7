#include "core/error.hpp"
#include "core/nvml.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"
#include "workloads/common/compute_device.hpp"

namespace muster::workloads::testing {

std::string missing_gpus(int wanted) {
  if (Nvml().gpus().size() < static_cast<std::size_t>(wanted)) return "no GPU for each rank";
  try {
    compute_device({.kind = Device::Kind::cuda, .index = wanted - 1});
    return {};
  } catch (const Error& error) {
    return "no GPU that LibTorch can use: " + error.problem();
  }
}

/// NCCL is tested between processes.
std::unique_ptr<DeviceCommunicator> links_between_gpus(Communicator&) { return nullptr; }
int collectives_between_gpus() { return 0; }

}  // namespace muster::workloads::testing
