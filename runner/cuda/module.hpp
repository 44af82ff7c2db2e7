#pragma once
/// The border between the runner and muster_cuda.so, which holds all that needs CUDA and NCCL. The module
/// exports one C function, `muster_cuda`, returning a static CudaModule; the runner looks at `abi` before
/// anything else. Beyond it both sides come from one compiler, as with workloads.

#include <functional>
#include <memory>
#include <string>

#include "core/error.hpp"
#include "runner/device_communicator.hpp"

namespace muster {

/// Raised whenever this header or one that it includes changes in a way that a compiled module would notice.
inline constexpr int kCudaModuleAbi = 1;

struct DeviceCommunicatorOptions {
  int device = 0;                 ///< as this process sees it
  double patience_seconds = 600;  ///< longer than this no collective takes whose peers all live
  /// Called by a thread of the communicator where a collective failed or ran out of patience while nobody was
  /// in a call that could throw: what is on the device is worthless then. The runner ends the gang. If it
  /// returns, the communicator is aborted, and every further call throws the error.
  std::function<void(const Error&)> lost;
};

struct CudaModule {
  int abi = kCudaModuleAbi;  // First for ever.
  /// "2.28.9 from /.../libnccl.so.2". Throws Error(resources) where there is no NCCL.
  std::string (*describe_nccl)() = nullptr;
  /// Devices that this process sees. Throws Error(resources) where there is none, or no driver.
  int (*count_devices)() = nullptr;
  /// Every rank of `control`, a communicator on host memory, must call this. Throws Error(resources).
  /// Errors of its collectives: Error(task_failed) where a peer is lost, which another attempt may change.
  /// Destruction is collective too; while an exception unwinds, it aborts instead.
  std::unique_ptr<DeviceCommunicator> (*connect)(Communicator& control,
                                                 const DeviceCommunicatorOptions& options) = nullptr;
};

}  // namespace muster
