#pragma once
/// An NCCL communicator with its stream and the thread that watches it.

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "core/error.hpp"
#include "runner/cuda/cuda_device.hpp"
#include "runner/cuda/module.hpp"

namespace muster {

/// How often a host that has to wait for NCCL looks.
inline constexpr auto kNcclPollEvery = std::chrono::microseconds(20);

/// After the first failure the communicator is aborted, and every call but close throws that failure again.
/// One thread at a time may call.
class NcclConnection {
 public:
  explicit NcclConnection(const DeviceCommunicatorOptions& options);
  ~NcclConnection() { close(); }
  NcclConnection(const NcclConnection&) = delete;
  NcclConnection& operator=(const NcclConnection&) = delete;

  /// Collective, once, before all else. `initialise` makes NCCL fill in the communicator.
  void open(const std::function<ncclResult_t(ncclComm_t*)>& initialise);
  /// Last; a second call does nothing. Collective where nothing failed and no exception unwinds; else it
  /// aborts.
  void close() noexcept;

  using Issue = std::function<ncclResult_t(ncclComm_t, cudaStream_t)>;
  /// Issues NCCL's calls on the own stream, behind what the caller's holds. Returns the point of their end.
  std::shared_ptr<Event> enqueue(const Issue& issue);
  /// A call of NCCL that puts nothing on a stream.
  void call(const std::function<ncclResult_t(ncclComm_t)>& act);
  /// What the caller's stream is given from now on begins behind `end`.
  void go_behind(const Event& end);
  bool is_done(const Event& end);
  /// What collectives that are done took on the GPU, by its clock. After a failure: what was known before,
  /// and no throw.
  double busy_seconds();

  void set_caller(cudaStream_t stream) { caller_ = stream; }
  cudaStream_t caller() const { return caller_; }
  const DeviceCommunicatorOptions& options() const { return options_; }
  int* scratch() const { return scratch_; }  ///< one int of device memory

 private:
  using Clock = std::chrono::steady_clock;
  struct Pending {
    std::unique_ptr<Event> begin;
    std::shared_ptr<Event> end;
    Clock::time_point since;  ///< it became the oldest
  };

  // All of these with mutex_ held.
  void require_open() const;
  void settle(ncclResult_t result);
  void harvest();
  void look();
  void require_patience(Clock::time_point since) const;
  void abort();

  void watch();

  DeviceCommunicatorOptions options_;
  cudaStream_t stream_ = nullptr;
  cudaStream_t caller_ = nullptr;
  int* scratch_ = nullptr;

  std::mutex mutex_;
  std::condition_variable wake_;
  bool closing_ = false;
  ncclComm_t comm_ = nullptr;
  std::deque<Pending> pending_;
  double busy_seconds_ = 0;  ///< of those that are no longer pending
  std::optional<Error> failure_;
  std::thread watcher_;
};

}  // namespace muster
