#include "runner/comm/futex.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

namespace muster {
namespace {

constexpr int kSpins = 64;  // Well under a microsecond: the core may be wanted by the thread that computes.

bool reached(std::uint32_t value, std::uint32_t target) {
  return static_cast<std::int32_t>(value - target) >= 0;
}

long futex(std::atomic<std::uint32_t>& word, int operation, std::uint32_t value) {
  return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), operation, value, nullptr, nullptr, 0);
}

}  // namespace

std::uint32_t SharedCounter::advance() {
  const std::uint32_t value = value_.fetch_add(1, std::memory_order_seq_cst) + 1;
  if (sleepers_.load(std::memory_order_seq_cst) != 0) futex(value_, FUTEX_WAKE, INT_MAX);
  return value;
}

void SharedCounter::wait_for(std::uint32_t target) {
  for (int spin = 0; spin < kSpins; ++spin)
    if (reached(value_.load(std::memory_order_acquire), target)) return;
  sleepers_.fetch_add(1, std::memory_order_seq_cst);
  for (;;) {
    const std::uint32_t value = value_.load(std::memory_order_seq_cst);
    if (reached(value, target)) break;
    futex(value_, FUTEX_WAIT, value);
  }
  sleepers_.fetch_sub(1, std::memory_order_seq_cst);
}

}  // namespace muster
