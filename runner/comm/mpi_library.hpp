#pragma once
/// MPI's initialisation, shared by all who call it. For .cpp files of runner/comm.

#include <memory>
#include <mutex>
#include <vector>

namespace muster {

/// MPI from Init to Finalize: the last owner ends it. MPI_THREAD_MULTIPLE is asked for; where only one thread
/// at a time may call (MPI_THREAD_SERIALIZED), every call is made under `lock()`, and none of them blocks.
class MpiLibrary {
 public:
  /// Throws Error(resources) where MPI allows less than MPI_THREAD_SERIALIZED.
  MpiLibrary();
  ~MpiLibrary();
  MpiLibrary(const MpiLibrary&) = delete;
  MpiLibrary& operator=(const MpiLibrary&) = delete;

  /// Held around a call of MPI; does nothing where threads may call at once.
  std::unique_lock<std::mutex> lock() const;

 private:
  bool one_at_a_time_ = false;
  mutable std::mutex mutex_;
};

}  // namespace muster
