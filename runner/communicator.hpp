#pragma once
/// Collectives between the ranks of a gang, as a workload sees them. Backends: MPI, in-process threads; NCCL
/// later.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/dtype.hpp"

namespace muster {

enum class ReduceOp { sum, minimum, maximum };

/// How an all-reduce travels. Bytes sent by one rank of N for a message of M bytes:
/// library: the MPI or NCCL library's choice; ring: 2(N-1)/N*M; tree: binomial reduce then broadcast,
/// (N-1)*2M in all; parameter_server: M a worker, (N-1)*M at rank 0.
enum class ExchangeAlgorithm { library, ring, tree, parameter_server };

/// Throws Error(config) for an unknown name.
ExchangeAlgorithm exchange_algorithm_from(const std::string& name);

/// What has gone through a communicator since it was made, counted where bytes leave and enter this rank.
/// For `library` the payload handed over is counted in `payload_bytes`, and sent/received only where the
/// library tells.
struct Traffic {
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  std::uint64_t payload_bytes = 0;  ///< size of the buffers given to collectives
  std::uint64_t collectives = 0;
  double busy_seconds = 0;  ///< spent inside collectives, on whichever thread
  double wait_seconds = 0;  ///< the caller's, blocked in Work::wait
};

/// A collective under way. Buffers must live and stay untouched until wait returns.
class Work {
 public:
  virtual ~Work() = default;
  /// Blocks until done; throws Error where the collective failed. May be called again.
  virtual void wait() = 0;
  virtual bool done() = 0;
};
using PendingWork = std::shared_ptr<Work>;

/// Every rank must call the same collectives in the same order; they complete in that order. One thread at a
/// time may call; progress needs no further call (a communication thread does the work). A failed or vanished
/// peer aborts the gang. Results of an all-reduce are bitwise the same on all ranks.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;

  /// In place; `count` elements. Sums of f16 and bf16 are accumulated in f32 and rounded once a hop.
  virtual PendingWork all_reduce(void* data, std::size_t count, DType type, ReduceOp op,
                                 ExchangeAlgorithm algorithm = ExchangeAlgorithm::library) = 0;
  /// `bytes` from every rank, in rank order, into `out` (size() * bytes).
  virtual PendingWork all_gather(const void* in, std::size_t bytes, void* out) = 0;
  /// `bytes_of[r]` from rank r; every rank gives the same list.
  virtual PendingWork all_gather_v(const void* in, void* out, const std::vector<std::size_t>& bytes_of) = 0;
  /// Sums `size() * count` elements; rank r keeps the r-th `count` of them.
  virtual PendingWork reduce_scatter(const void* in, void* out, std::size_t count, DType type,
                                     ReduceOp op) = 0;
  virtual PendingWork broadcast(void* data, std::size_t bytes, int root) = 0;
  virtual void barrier() = 0;

  /// Collective: ranks of one `colour` form a new communicator, in order of `key`. Its traffic is its own.
  virtual std::unique_ptr<Communicator> split(int colour, int key) = 0;

  virtual Traffic traffic() const = 0;
};

}  // namespace muster
