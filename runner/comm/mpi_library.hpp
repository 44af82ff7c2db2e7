#pragma once
/// MPI's initialisation, shared by all who call it. For .cpp files of runner/comm.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

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

  /// Held around a call of MPI; excludes nobody where threads may call at once.
  std::unique_lock<std::mutex> lock() const;

  /// While somebody holds what this returns, MPI is called now and then by a thread of its own, unless others
  /// call it anyway: it works inside its calls alone, and what it still has to tell another rank of a message
  /// would wait for this rank's next collective, and the other rank with it.
  std::shared_ptr<void> progress();

 private:
  class Progress;

  bool one_at_a_time_ = false;
  mutable std::mutex mutex_;
  mutable std::atomic<std::uint64_t> calls_{0};
  std::mutex progress_mutex_;
  std::weak_ptr<Progress> progress_;
};

}  // namespace muster
