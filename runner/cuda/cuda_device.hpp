#pragma once
/// CUDA's devices, and its return codes as errors.

#include <cuda_runtime_api.h>

#include <source_location>

namespace muster {

/// Throws with CUDA's own text and the call's place: Error(resources) where memory is short, else
/// Error(internal).
void check_cuda(cudaError_t code, std::source_location where = std::source_location::current());

/// Throws Error(resources) where this process sees no device, or there is no driver.
int count_devices();

/// Has a kernel of ours set `*out`, in device memory, to 0. Throws Error(resources) where the current device
/// cannot run what this module was built for.
void run_first_kernel(int* out, cudaStream_t stream);

/// Makes a device the current one of this thread for a scope.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    check_cuda(cudaGetDevice(&before_));
    check_cuda(cudaSetDevice(device));
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

/// A point in a stream of the current device. With `cudaEventDefault` the device notes when it is reached.
class Event {
 public:
  explicit Event(unsigned flags = cudaEventDisableTiming) {
    check_cuda(cudaEventCreateWithFlags(&event_, flags));
  }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t stream) { check_cuda(cudaEventRecord(event_, stream)); }
  /// What `stream` is given from now on begins when the recorded point is reached.
  void go_before(cudaStream_t stream) const { check_cuda(cudaStreamWaitEvent(stream, event_, 0)); }
  bool reached() const;
  /// By the device's clock. Both are timed and reached.
  double seconds_since(const Event& earlier) const;

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace muster
