#pragma once
/// Reads GPUs at a fixed interval while a task runs.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "runner/gpu_readings.hpp"

namespace muster {

/// A thread of its own from construction to stop(); none where there is no GPU to read. Throws nothing for a
/// GPU that cannot be read: it has no row then.
class GpuSampler {
 public:
  explicit GpuSampler(const std::vector<SampledGpu>& gpus,
                      std::chrono::milliseconds interval = std::chrono::seconds(1));
  ~GpuSampler();
  GpuSampler(const GpuSampler&) = delete;
  GpuSampler& operator=(const GpuSampler&) = delete;

  /// What was read since the last call.
  std::vector<GpuSample> take();
  /// After a last reading; none follows.
  std::vector<GpuTotal> stop();

 private:
  void run();

  const std::chrono::milliseconds interval_;
  const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
  std::vector<GpuTally> tallies_;  // The thread's till it has ended.
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<GpuSample> samples_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace muster
