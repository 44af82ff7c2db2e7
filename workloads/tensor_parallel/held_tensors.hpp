#pragma once
/// Bytes of the tensors that a piece of a program leaves in memory.

#include <c10/util/ThreadLocalDebugInfo.h>

#include <cstdint>
#include <memory>

namespace muster::workloads {

/// Counts, from its construction to its destruction, the memory that this thread's tensor operations took and
/// did not give back; what was there before does not count. PyTorch's allocators report it, as they do to its
/// profiler, which sees no memory meanwhile. To be destroyed by the thread that made it.
class HeldTensors {
 public:
  HeldTensors();
  std::int64_t bytes() const;

 private:
  class Counter;
  std::shared_ptr<Counter> counter_;
  c10::DebugInfoGuard guard_;
};

}  // namespace muster::workloads
