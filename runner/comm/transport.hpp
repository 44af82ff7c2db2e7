#pragma once
/// What collectives travel over: point-to-point messages between the ranks of one communicator, counted.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "core/dtype.hpp"
#include "runner/communicator.hpp"

namespace muster {

/// Blocking; one thread at a time may call. Messages between two ranks keep their order. Every receive names
/// the exact size that is sent. Waiting leaves the core to other threads. Failures throw Error; a vanished
/// peer may also be noticed by the gang's launcher alone, which then ends this process.
class Transport {
 public:
  virtual ~Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }

  void send(const void* data, std::size_t bytes, int to);
  void receive(void* data, std::size_t bytes, int from);
  /// Receives `count` elements and reduces them into `accumulator`.
  void receive_reduce(void* accumulator, std::size_t count, DType type, ReduceOp op, int from);
  /// Sends and receives at once; whole rings of ranks may call it together.
  void exchange(const void* out, std::size_t out_bytes, int to, void* in, std::size_t in_bytes, int from);
  /// As exchange; what comes in is reduced into `accumulator`. The two buffers must not overlap.
  void exchange_reduce(const void* out, std::size_t out_bytes, int to, void* accumulator, std::size_t count,
                       DType type, ReduceOp op, int from);

  /// All-reduce by the way that is best on this transport. Every rank must call this.
  virtual void library_all_reduce(void* data, std::size_t count, DType type, ReduceOp op) = 0;
  /// As Communicator::split. Every rank must call this.
  virtual std::unique_ptr<Transport> split(int colour, int key) = 0;

  /// Message bytes that have left and entered this rank; readable from any thread.
  std::uint64_t bytes_sent() const { return bytes_sent_.load(std::memory_order_relaxed); }
  std::uint64_t bytes_received() const { return bytes_received_.load(std::memory_order_relaxed); }

 protected:
  Transport(int rank, int size) : rank_(rank), size_(size) {}

  struct Outgoing {
    const void* data;
    std::size_t bytes;
    int to;  ///< -1: nothing is sent
  };
  struct Incoming {
    void* data;
    std::size_t bytes;
    int from;  ///< -1: nothing is received
  };
  virtual void do_exchange(const Outgoing& out, const Incoming& in) = 0;
  virtual void do_exchange_reduce(const Outgoing& out, const Incoming& accumulator, DType type,
                                  ReduceOp op) = 0;

 private:
  void count(const Outgoing& out, const Incoming& in);

  int rank_;
  int size_;
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::atomic<std::uint64_t> bytes_received_{0};
};

}  // namespace muster
