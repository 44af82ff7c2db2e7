#pragma once
/// Collectives on device memory.

#include "runner/communicator.hpp"

namespace muster {

/// A Communicator whose buffers, all of them, are in the memory of this rank's GPU. Collectives are put on a
/// stream of its own, and the host waits for none of them but barrier:
/// - a collective begins when all that the caller's stream held at the call is done;
/// - Work::wait does not block: what the caller's stream is given afterwards begins when the collective is
///   done. Until then buffers must live and stay untouched, as seen from that stream;
/// - Work::done looks at what has happened.
/// Two of them, a part and its whole for one, must not have collectives under way at once, which NCCL
/// forbids: wait for the one before you call the other. Only ExchangeAlgorithm::library. Minimum and maximum
/// pass over NaN. Traffic has payloads, collectives, the host's seconds in barrier, and as busy seconds what
/// collectives took on the GPU, by its clock: each from when its turn came to its end, the wait for slower
/// peers within. traffic() waits for nothing, and a collective counts once it is done; after a failure it
/// gives what was known. Not while the caller's stream captures a graph.
class DeviceCommunicator : public Communicator {
 public:
  /// The caller's stream, a cudaStream_t of this rank's device; null, as at first: the legacy default stream.
  /// Parts of a split begin with the whole's.
  virtual void on_stream(void* stream) = 0;
};

}  // namespace muster
