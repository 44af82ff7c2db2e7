#pragma once
/// The wall clock, as files and Slurm's times have it.

#include <chrono>

namespace muster {

/// Seconds since 1970, UTC.
inline double unix_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace muster
