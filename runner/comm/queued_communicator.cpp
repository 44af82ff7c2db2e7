#include "runner/comm/queued_communicator.hpp"

#include <pthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <utility>

#include "core/error.hpp"
#include "runner/comm/algorithms.hpp"

namespace muster {
namespace {

using Clock = std::chrono::steady_clock;

std::int64_t nanoseconds_since(Clock::time_point start) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
}

void all_reduce_by(ExchangeAlgorithm algorithm, Transport& transport, void* data, std::size_t count,
                   DType type, ReduceOp op) {
  switch (algorithm) {
    case ExchangeAlgorithm::library:
      return transport.library_all_reduce(data, count, type, op);
    case ExchangeAlgorithm::ring:
      return ring_all_reduce(transport, data, count, type, op);
    case ExchangeAlgorithm::tree:
      return tree_all_reduce(transport, data, count, type, op);
    case ExchangeAlgorithm::parameter_server:
      return parameter_server_all_reduce(transport, data, count, type, op);
  }
}

}  // namespace

/// One collective, queued, under way or done.
class QueuedCommunicator::Job final : public Work {
 public:
  Job(std::function<void()> collective, std::shared_ptr<std::atomic<std::int64_t>> waited)
      : collective_(std::move(collective)), waited_(std::move(waited)) {}

  void wait() override {
    if (!done_.load(std::memory_order_acquire)) {
      const auto start = Clock::now();
      done_.wait(false, std::memory_order_acquire);
      waited_->fetch_add(nanoseconds_since(start), std::memory_order_relaxed);
    }
    if (failure_) std::rethrow_exception(failure_);
  }

  bool done() override { return done_.load(std::memory_order_acquire); }

  const std::function<void()>& collective() const { return collective_; }

  void finish(std::exception_ptr failure) {
    failure_ = std::move(failure);
    collective_ = nullptr;
    done_.store(true, std::memory_order_release);
    done_.notify_all();
  }

 private:
  std::function<void()> collective_;
  std::shared_ptr<std::atomic<std::int64_t>> waited_;
  std::exception_ptr failure_;
  std::atomic<bool> done_{false};
};

/// The queue and what works on it.
struct QueuedCommunicator::Engine {
  explicit Engine(std::unique_ptr<Transport> carrier) : transport(std::move(carrier)) {}

  void perform(const std::function<void()>& collective) {
    const auto start = Clock::now();
    collective();
    busy_nanoseconds.fetch_add(nanoseconds_since(start), std::memory_order_relaxed);
  }

  void count(std::size_t bytes) {
    payload_bytes.fetch_add(bytes, std::memory_order_relaxed);
    collectives.fetch_add(1, std::memory_order_relaxed);
  }

  void work() {
    pthread_setname_np(pthread_self(), "muster-comm");
    std::unique_lock lock(mutex);
    for (;;) {
      queued.wait(lock, [this] { return closing || !queue.empty(); });
      if (queue.empty()) return;
      const auto job = std::move(queue.front());
      queue.pop_front();
      working = true;
      lock.unlock();
      std::exception_ptr failure;
      try {
        perform(job->collective());
      } catch (...) {
        failure = std::current_exception();
      }
      // Idle before done: who waited for the job may go on with run_now at once.
      lock.lock();
      working = false;
      lock.unlock();
      job->finish(std::move(failure));
      lock.lock();
    }
  }

  std::unique_ptr<Transport> transport;
  std::mutex mutex;
  std::condition_variable queued;
  std::deque<std::shared_ptr<Job>> queue;
  bool working = false;
  bool closing = false;
  std::atomic<std::uint64_t> payload_bytes{0};
  std::atomic<std::uint64_t> collectives{0};
  std::atomic<std::int64_t> busy_nanoseconds{0};
  std::shared_ptr<std::atomic<std::int64_t>> wait_nanoseconds =
      std::make_shared<std::atomic<std::int64_t>>(0);
};

QueuedCommunicator::QueuedCommunicator(std::unique_ptr<Transport> transport, std::shared_ptr<void> library)
    : library_(std::move(library)), engine_(std::make_shared<Engine>(std::move(transport))) {}

QueuedCommunicator::~QueuedCommunicator() {
  {
    const std::lock_guard lock(engine_->mutex);
    engine_->closing = true;
  }
  engine_->queued.notify_all();
  if (!thread_.joinable()) return;
  if (std::uncaught_exceptions() > 0)
    thread_.detach();
  else
    thread_.join();
}

int QueuedCommunicator::rank() const { return engine_->transport->rank(); }

int QueuedCommunicator::size() const { return engine_->transport->size(); }

PendingWork QueuedCommunicator::all_reduce(void* data, std::size_t count, DType type, ReduceOp op,
                                           ExchangeAlgorithm algorithm) {
  return submit(count * size_of(type), [=, &transport = *engine_->transport] {
    all_reduce_by(algorithm, transport, data, count, type, op);
  });
}

PendingWork QueuedCommunicator::all_gather(const void* in, std::size_t bytes, void* out) {
  return all_gather_v(in, out, std::vector<std::size_t>(static_cast<std::size_t>(size()), bytes));
}

PendingWork QueuedCommunicator::all_gather_v(const void* in, void* out,
                                             const std::vector<std::size_t>& bytes_of) {
  MUSTER_ASSERT(bytes_of.size() == static_cast<std::size_t>(size()));
  return submit(bytes_of[static_cast<std::size_t>(rank())],
                [=, &transport = *engine_->transport] { ring_all_gather(transport, in, out, bytes_of); });
}

PendingWork QueuedCommunicator::reduce_scatter(const void* in, void* out, std::size_t count, DType type,
                                               ReduceOp op) {
  return submit(
      count * size_of(type) * static_cast<std::size_t>(size()),
      [=, &transport = *engine_->transport] { ring_reduce_scatter(transport, in, out, count, type, op); });
}

PendingWork QueuedCommunicator::broadcast(void* data, std::size_t bytes, int root) {
  MUSTER_ASSERT(root >= 0 && root < size());
  return submit(bytes,
                [=, &transport = *engine_->transport] { tree_broadcast(transport, data, bytes, root); });
}

void QueuedCommunicator::barrier() {
  run_now(0, [&] { dissemination_barrier(*engine_->transport); });
}

std::unique_ptr<Communicator> QueuedCommunicator::split(int colour, int key) {
  std::unique_ptr<Transport> part;
  run_now(0, [&] { part = engine_->transport->split(colour, key); });
  return std::make_unique<QueuedCommunicator>(std::move(part), library_);
}

void QueuedCommunicator::all_reduce_now(void* data, std::size_t count, DType type, ReduceOp op) {
  run_now(count * size_of(type), [&] { engine_->transport->library_all_reduce(data, count, type, op); });
}

Traffic QueuedCommunicator::traffic() const {
  Traffic traffic;
  traffic.bytes_sent = engine_->transport->bytes_sent();
  traffic.bytes_received = engine_->transport->bytes_received();
  traffic.payload_bytes = engine_->payload_bytes.load(std::memory_order_relaxed);
  traffic.collectives = engine_->collectives.load(std::memory_order_relaxed);
  traffic.busy_seconds =
      1e-9 * static_cast<double>(engine_->busy_nanoseconds.load(std::memory_order_relaxed));
  traffic.wait_seconds =
      1e-9 * static_cast<double>(engine_->wait_nanoseconds->load(std::memory_order_relaxed));
  return traffic;
}

PendingWork QueuedCommunicator::submit(std::size_t payload_bytes, std::function<void()> collective) {
  auto job = std::make_shared<Job>(std::move(collective), engine_->wait_nanoseconds);
  engine_->count(payload_bytes);
  {
    const std::lock_guard lock(engine_->mutex);
    engine_->queue.push_back(job);
  }
  engine_->queued.notify_one();
  if (!thread_.joinable()) thread_ = std::thread([engine = engine_] { engine->work(); });
  return job;
}

void QueuedCommunicator::run_now(std::size_t payload_bytes, const std::function<void()>& collective) {
  bool idle = false;
  {
    const std::lock_guard lock(engine_->mutex);
    idle = engine_->queue.empty() && !engine_->working;
  }
  // One thread at a time calls, so nothing is queued behind our back.
  if (!idle) return submit(payload_bytes, collective)->wait();
  engine_->count(payload_bytes);
  const auto start = Clock::now();
  engine_->perform(collective);
  engine_->wait_nanoseconds->fetch_add(nanoseconds_since(start), std::memory_order_relaxed);
}

}  // namespace muster
