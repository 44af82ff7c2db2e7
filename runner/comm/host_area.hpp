#pragma once
/// The memory that the ranks of one host share: counters to sleep on, addresses to read from.

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "runner/comm/futex.hpp"

namespace muster {

/// Payloads up to this size travel in the shared memory itself.
inline constexpr std::size_t kInlineBytes = 4096;

/// Messages from one rank to another. One is under way at a time.
struct Mailbox {
  SharedCounter posted;
  SharedCounter taken;
  const void* address = nullptr;
  std::size_t bytes = 0;
};

/// What a rank shows to all others.
struct alignas(64) HostMember {
  SharedCounter arrivals;
  pid_t process = 0;
  const void* address = nullptr;
  std::size_t bytes = 0;
  std::uint64_t probe = 0;
  std::array<std::array<std::byte, kInlineBytes>, 2> slots{};
};

/// One mapping of the shared memory. Made by one rank, which keeps it until all have attached; freed with the
/// last mapping, whatever way the processes end.
class HostArea {
 public:
  /// Throws Error(resources) where the host gives no memory.
  static HostArea create(int ranks);
  /// By the maker's descriptor; empty where the kernel forbids it.
  static std::optional<HostArea> attach(pid_t process, int descriptor, int ranks);
  HostArea(HostArea&& other) noexcept;
  HostArea& operator=(HostArea&&) = delete;
  ~HostArea();

  int descriptor() const { return descriptor_; }
  HostMember& member(int rank) const;
  Mailbox& mailbox(int from, int to) const;

 private:
  HostArea(int descriptor, int ranks, std::byte* base)
      : descriptor_(descriptor), ranks_(ranks), base_(base) {}
  int descriptor_ = -1;
  int ranks_ = 0;
  std::byte* base_ = nullptr;
};

}  // namespace muster
