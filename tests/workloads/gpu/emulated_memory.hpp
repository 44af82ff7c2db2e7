#pragma once
/// Memory of the emulated GPU: addresses that no program on a CPU can follow.

#include <cstdint>

namespace muster::workloads::testing {

inline constexpr std::uintptr_t kDeviceMark = std::uintptr_t{1} << 62;

// NOLINTBEGIN(performance-no-int-to-ptr): that is the point.
inline void* on_gpu(void* memory) {
  return memory ? reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(memory) | kDeviceMark) : nullptr;
}
inline void* on_host(const void* memory) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(memory) & ~kDeviceMark);
}
// NOLINTEND(performance-no-int-to-ptr)

}  // namespace muster::workloads::testing
