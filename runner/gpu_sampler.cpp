#include "runner/gpu_sampler.hpp"

#include <utility>

#include "core/nvml.hpp"

namespace muster {

GpuSampler::GpuSampler(const std::vector<SampledGpu>& gpus, std::chrono::milliseconds interval)
    : interval_(interval), tallies_(gpus.begin(), gpus.end()) {
  if (!tallies_.empty()) thread_ = std::thread([this] { run(); });
}

GpuSampler::~GpuSampler() { stop(); }

std::vector<GpuSample> GpuSampler::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(samples_, {});
}

std::vector<GpuTotal> GpuSampler::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
  std::vector<GpuTotal> totals;
  for (const GpuTally& tally : tallies_) totals.push_back(tally.total());
  return totals;
}

void GpuSampler::run() {
  const Nvml driver;
  auto next = began_;
  for (bool last = false; !last;) {
    {
      std::unique_lock lock(mutex_);
      last = wake_.wait_until(lock, next, [this] { return stopping_; });
    }
    next += interval_;
    for (GpuTally& tally : tallies_) {
      const auto reading = driver.read(tally.uuid());
      if (!reading) continue;
      const std::chrono::duration<double> now = std::chrono::steady_clock::now() - began_;
      const GpuSample sample = tally.add(*reading, now.count());
      const std::lock_guard lock(mutex_);
      samples_.push_back(sample);
    }
  }
}

}  // namespace muster
