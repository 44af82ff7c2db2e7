#pragma once
/// A Communicator over any Transport: one thread of its own works through a queue of collectives.

#include <functional>
#include <memory>
#include <thread>

#include "runner/comm/transport.hpp"
#include "runner/communicator.hpp"

namespace muster {

/// The thread starts with the first asynchronous collective. Destruction waits for what is queued, but not
/// while an exception unwinds: the peers may never come, and whoever catches it ends the process.
class QueuedCommunicator final : public Communicator {
 public:
  /// `library` is kept for as long as the transport needs it.
  explicit QueuedCommunicator(std::unique_ptr<Transport> transport, std::shared_ptr<void> library = nullptr);
  ~QueuedCommunicator() override;

  int rank() const override;
  int size() const override;
  PendingWork all_reduce(void* data, std::size_t count, DType type, ReduceOp op,
                         ExchangeAlgorithm algorithm = ExchangeAlgorithm::library) override;
  PendingWork all_gather(const void* in, std::size_t bytes, void* out) override;
  PendingWork all_gather_v(const void* in, void* out, const std::vector<std::size_t>& bytes_of) override;
  PendingWork reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp op) override;
  PendingWork broadcast(void* data, std::size_t bytes, int root) override;
  void barrier() override;
  std::unique_ptr<Communicator> split(int colour, int key) override;
  Traffic traffic() const override;

  /// all_reduce by `library`, on the caller's thread where nothing is queued: for small things that are
  /// waited for.
  void all_reduce_now(void* data, std::size_t count, DType type, ReduceOp op);

 private:
  class Job;
  struct Engine;
  PendingWork submit(std::size_t payload_bytes, std::function<void()> collective);
  void run_now(std::size_t payload_bytes, const std::function<void()>& collective);

  std::shared_ptr<void> library_;
  std::shared_ptr<Engine> engine_;  // The thread's too: it may be left behind.
  std::thread thread_;
};

}  // namespace muster
