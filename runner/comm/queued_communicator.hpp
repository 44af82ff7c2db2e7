#pragma once
/// A Communicator over any Transport: one thread of its own works through a queue of collectives.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "runner/comm/transport.hpp"
#include "runner/communicator.hpp"

namespace muster {

/// The thread starts with the first asynchronous collective. Destruction waits for what is queued.
class QueuedCommunicator final : public Communicator {
 public:
  /// `library` is kept for as long as the transport needs it.
  explicit QueuedCommunicator(std::unique_ptr<Transport> transport, std::shared_ptr<void> library = nullptr);
  ~QueuedCommunicator() override;

  int rank() const override { return transport_->rank(); }
  int size() const override { return transport_->size(); }
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
  PendingWork submit(std::size_t payload_bytes, std::function<void()> collective);
  void run_now(std::size_t payload_bytes, const std::function<void()>& collective);
  void perform(const std::function<void()>& collective);
  void work();

  std::shared_ptr<void> library_;
  std::unique_ptr<Transport> transport_;
  mutable std::mutex mutex_;
  std::condition_variable queued_;
  std::deque<std::shared_ptr<Job>> queue_;
  std::thread thread_;
  bool working_ = false;
  bool closing_ = false;
  std::atomic<std::uint64_t> payload_bytes_{0};
  std::atomic<std::uint64_t> collectives_{0};
  std::atomic<std::int64_t> busy_nanoseconds_{0};
  std::shared_ptr<std::atomic<std::int64_t>> wait_nanoseconds_;
};

}  // namespace muster
