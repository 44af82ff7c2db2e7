#include "workloads/tensor_parallel/held_tensors.hpp"

#include <c10/core/Allocator.h>

#include <mutex>
#include <unordered_map>

namespace muster::workloads {

/// Threads that a tensor operation starts report here too.
class HeldTensors::Counter : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void* pointer, std::int64_t bytes, std::size_t, std::size_t, c10::Device) override {
    const std::lock_guard lock(mutex_);
    if (bytes > 0) {
      held_[pointer] = bytes;
      sum_ += bytes;
    } else if (const auto known = held_.find(pointer); known != held_.end()) {
      sum_ -= known->second;
      held_.erase(known);
    }
  }
  bool memoryProfilingEnabled() const override { return true; }

  std::int64_t sum() const {
    const std::lock_guard lock(mutex_);
    return sum_;
  }

 private:
  mutable std::mutex mutex_;
  std::unordered_map<void*, std::int64_t> held_;
  std::int64_t sum_ = 0;
};

HeldTensors::HeldTensors()
    : counter_(std::make_shared<Counter>()), guard_(c10::DebugInfoKind::PROFILER_STATE, counter_) {}

std::int64_t HeldTensors::bytes() const { return counter_->sum(); }

}  // namespace muster::workloads
