#include "runner/cuda/cuda_device.hpp"

#include <cstdlib>
#include <string>

#include "core/error.hpp"
#include "runner/cuda/first_kernel.hpp"

namespace muster {

void check_cuda(cudaError_t code, std::source_location where) {
  if (code == cudaSuccess) return;
  const bool no_memory = code == cudaErrorMemoryAllocation;
  throw Error(no_memory ? ExitCode::resources : ExitCode::internal,
              std::string(where.file_name()) + ":" + std::to_string(where.line()) +
                  ": CUDA: " + cudaGetErrorString(code),
              no_memory ? "use a smaller batch or network, or a GPU with more memory"
                        : "an earlier call on this GPU may have failed: CUDA_LAUNCH_BLOCKING=1 finds it");
}

int count_devices() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return count;
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  throw Error(ExitCode::resources,
              std::string("no CUDA device: ") +
                  (code == cudaSuccess ? "the driver shows none" : cudaGetErrorString(code)),
              std::string("run where `nvidia-smi -L` lists one; CUDA_VISIBLE_DEVICES is ") +
                  (visible == nullptr ? "not set" : "'" + std::string(visible) + "'"));
}

void run_first_kernel(int* out, cudaStream_t stream) {
  const cudaError_t code = clear_by_kernel(out, stream);
  if (code == cudaErrorNoKernelImageForDevice || code == cudaErrorUnsupportedPtxVersion)
    throw Error(ExitCode::resources,
                std::string("this GPU cannot run muster_cuda.so's kernels: ") + cudaGetErrorString(code),
                "they are built for sm_80, sm_90 and later: use such a GPU, or a newer driver");
  check_cuda(code);
}

bool Event::reached() const {
  const cudaError_t code = cudaEventQuery(event_);
  if (code != cudaErrorNotReady) {
    check_cuda(code);
    return true;
  }
  (void)cudaGetLastError();  // It keeps 'not ready' as if that were a failure.
  return false;
}

double Event::seconds_since(const Event& earlier) const {
  float milliseconds = 0;
  check_cuda(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
  return 1e-3 * static_cast<double>(milliseconds);
}

}  // namespace muster
