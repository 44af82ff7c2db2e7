#pragma once
/// MPI for the length of a scope, without mpi.h.

#include <memory>

#include "runner/comm/queued_communicator.hpp"

namespace muster {

class MpiLibrary;

/// How ranks of one host talk.
enum class HostPath {
  shared_memory,  ///< through HostTransport, where the kernel allows it; else through MPI
  mpi,
};

/// Initialises MPI; ends it with the last communicator. One a process. Every rank must make it, and call
/// world() and the destructor, in the same order.
class MpiSession {
 public:
  /// Throws Error(resources) where MPI does not allow threads.
  MpiSession();
  ~MpiSession();
  /// For a task of so many ranks. A process that was started as the only rank of one does without MPI, which
  /// saves a fifth of a second.
  static std::unique_ptr<MpiSession> of_task(int ranks);

  int rank() const { return rank_; }
  int size() const { return size_; }
  int host_rank() const { return host_rank_; }  ///< among the ranks of this host
  int host_size() const { return host_size_; }

  /// Collective: a new communicator over all ranks, with a thread and counters of its own.
  std::unique_ptr<QueuedCommunicator> world(HostPath path = HostPath::shared_memory);

  /// Ends the gang with `code` as its exit status. From any rank, in any state.
  [[noreturn]] void abort(int code);

 private:
  struct WithoutMpi {};
  explicit MpiSession(WithoutMpi) : host_size_(1) {}

  std::shared_ptr<MpiLibrary> library_;
  int rank_ = 0;
  int size_ = 1;
  int host_rank_ = 0;
  int host_size_ = 0;
};

}  // namespace muster
