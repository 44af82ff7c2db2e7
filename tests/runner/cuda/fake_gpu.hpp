#pragma once
/// CUDA's runtime and NCCL as far as muster_cuda calls them, for one rank and without a device: nothing is
/// computed, and what was asked for is written down. All streams have one clock, which goes on by a second
/// where one waits for another, and by what is wished with each of NCCL's calls.

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <atomic>
#include <string>
#include <vector>

namespace muster::testing {

struct FakeGpu {
  std::atomic<int> busy_polls{0};                  ///< so often NCCL says 'in progress' after each call
  std::atomic<ncclResult_t> network{ncclSuccess};  ///< what NCCL's state is then
  std::atomic<bool> stuck{false};                  ///< no event is ever reached
  std::atomic<int> nccl_milliseconds{0};           ///< what each call of NCCL takes
  std::atomic<cudaError_t> clock{cudaSuccess};     ///< what a time between events is answered with
  std::atomic<bool> without_driver{false};
  std::atomic<bool> too_old{false};  ///< runs no kernel of ours
};
FakeGpu& fake_gpu();

/// What was called since the last look.
std::vector<std::string> take_trace();

/// All as new.
void reset_fake_gpu();

}  // namespace muster::testing
