#include "core/error.hpp"
#include "core/nvml.hpp"
#include "runner/cuda/load_module.hpp"
#include "tests/runner/cuda/module_of_test.hpp"
#include "tests/workloads/gpu/gang_of_test.hpp"
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

std::unique_ptr<DeviceCommunicator> links_between_gpus(Communicator& ranks) {
  if (Nvml().gpus().size() < static_cast<std::size_t>(ranks.size())) return nullptr;
  DeviceCommunicatorOptions options;
  options.device = gpu_of_rank(ranks.rank());
  return load_cuda_module(muster::testing::cuda_module_of_test()).connect(ranks, options);
}

}  // namespace muster::workloads::testing
