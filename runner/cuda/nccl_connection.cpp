#include "runner/cuda/nccl_connection.hpp"

#include <pthread.h>

#include <exception>
#include <string>
#include <utility>

#include "runner/cuda/nccl_library.hpp"

namespace muster {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(200);

}  // namespace

NcclConnection::NcclConnection(const DeviceCommunicatorOptions& options) : options_(options) {
  const OnDevice here(options_.device);
  check_cuda(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  check_cuda(cudaMalloc(reinterpret_cast<void**>(&scratch_), sizeof *scratch_));
  run_first_kernel(scratch_, stream_);
}

void NcclConnection::open(const std::function<ncclResult_t(ncclComm_t*)>& initialise) {
  const OnDevice here(options_.device);
  {
    const std::lock_guard lock(mutex_);
    settle(initialise(&comm_));
  }
  watcher_ = std::thread([this] { watch(); });
}

void NcclConnection::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (closing_) return;
    closing_ = true;
  }
  wake_.notify_all();
  if (watcher_.joinable()) watcher_.join();
  const std::lock_guard lock(mutex_);
  try {
    const OnDevice here(options_.device);
    if (comm_ != nullptr && std::uncaught_exceptions() == 0) {
      settle(nccl().comm_finalize(comm_));
      check_nccl(nccl().comm_destroy(comm_));
      comm_ = nullptr;
    }
    abort();
    cudaFree(scratch_);
    cudaStreamDestroy(stream_);
  } catch (const Error&) {
    // Nobody waits for anything of it any more: whom it lost now it need not report.
    abort();
  }
}

std::shared_ptr<Event> NcclConnection::enqueue(const Issue& issue) {
  const OnDevice here(options_.device);
  const std::lock_guard lock(mutex_);
  require_open();
  Event ready;
  ready.record(caller_);
  ready.go_before(stream_);
  // Behind that wait, so that what the caller's stream still has to do does not count.
  auto begin = std::make_unique<Event>(cudaEventDefault);
  begin->record(stream_);
  settle(issue(comm_, stream_));
  auto end = std::make_shared<Event>(cudaEventDefault);
  end->record(stream_);
  pending_.push_back({std::move(begin), end, Clock::now()});
  return end;
}

void NcclConnection::call(const std::function<ncclResult_t(ncclComm_t)>& act) {
  const OnDevice here(options_.device);
  const std::lock_guard lock(mutex_);
  require_open();
  settle(act(comm_));
}

void NcclConnection::go_behind(const Event& end) {
  const OnDevice here(options_.device);
  const std::lock_guard lock(mutex_);
  require_open();
  end.go_before(caller_);
}

bool NcclConnection::is_done(const Event& end) {
  const OnDevice here(options_.device);
  const std::lock_guard lock(mutex_);
  require_open();
  return end.reached();
}

double NcclConnection::busy_seconds() {
  const std::lock_guard lock(mutex_);
  if (!failure_) {
    const OnDevice here(options_.device);
    harvest();
  }
  return busy_seconds_;
}

void NcclConnection::require_open() const {
  if (failure_) throw *failure_;
}

/// What a call of a non-blocking communicator began may go on behind it, and until it is done no other call
/// may be made.
void NcclConnection::settle(ncclResult_t result) {
  try {
    const auto start = Clock::now();
    check_nccl(result);
    while (true) {
      check_nccl(nccl().comm_get_async_error(comm_, &result));
      check_nccl(result);
      if (result == ncclSuccess) return;
      require_patience(start);
      std::this_thread::sleep_for(kNcclPollEvery);
    }
  } catch (const Error& error) {
    failure_ = error;
    abort();
    throw;
  }
}

/// One stream has them all, one behind the other: their times do not overlap and can be added up.
void NcclConnection::harvest() {
  while (!pending_.empty() && pending_.front().end->reached()) {
    busy_seconds_ += pending_.front().end->seconds_since(*pending_.front().begin);
    pending_.pop_front();
    if (!pending_.empty()) pending_.front().since = Clock::now();
  }
}

void NcclConnection::look() {
  harvest();
  ncclResult_t state = ncclSuccess;
  check_nccl(nccl().comm_get_async_error(comm_, &state));
  check_nccl(state);
  if (!pending_.empty()) require_patience(pending_.front().since);
}

void NcclConnection::require_patience(Clock::time_point since) const {
  if (std::chrono::duration<double>(Clock::now() - since).count() <= options_.patience_seconds) return;
  throw Error(ExitCode::task_failed,
              "a collective between GPUs is not done after " +
                  std::to_string(static_cast<int>(options_.patience_seconds)) + " s: a peer is lost",
              "look in the log for a rank that died or hangs; NCCL_DEBUG=INFO makes NCCL tell more");
}

void NcclConnection::abort() {
  if (comm_ != nullptr) nccl().comm_abort(comm_);
  comm_ = nullptr;
}

void NcclConnection::watch() {
  pthread_setname_np(pthread_self(), "muster-nccl");
  cudaSetDevice(options_.device);
  // Asking for events must not break a graph that another thread captures.
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  cudaThreadExchangeStreamCaptureMode(&mode);
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLookEvery, [this] { return closing_; })) {
    if (failure_) return;
    try {
      look();
    } catch (const Error& error) {
      failure_ = error;
      // It may not return, and a communicator whose GPU is gone may not be aborted in finite time.
      lock.unlock();
      if (options_.lost) options_.lost(error);
      lock.lock();
      abort();
      return;
    }
  }
}

}  // namespace muster
