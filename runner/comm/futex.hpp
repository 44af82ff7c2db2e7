#pragma once
/// Sleeping on a counter in shared memory, between threads and between processes of one host.

#include <atomic>
#include <cstdint>

namespace muster {

/// A counter that only grows (and wraps). One side advances it, any number wait for a value.
class alignas(64) SharedCounter {
 public:
  /// Everything written before is visible to whoever sees the new value. Returns it.
  std::uint32_t advance();
  /// Blocks, without using the core, until the counter has reached `target`.
  void wait_for(std::uint32_t target);

 private:
  std::atomic<std::uint32_t> value_{0};
  std::atomic<std::uint32_t> sleepers_{0};
};

}  // namespace muster
