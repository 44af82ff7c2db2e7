#include "runner/comm/mpi_library.hpp"

#include <mpi.h>
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <thread>
#include <utility>

#include "core/error.hpp"
#include "runner/comm/mpi_error.hpp"

namespace muster {
namespace {
constexpr std::chrono::milliseconds kTick{2};
}

class MpiLibrary::Progress {
 public:
  explicit Progress(const MpiLibrary& library)
      : thread_([&library](const std::stop_token& stop) { work(library, stop); }) {}

 private:
  static void work(const MpiLibrary& library, const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), "muster-mpi");
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    std::uint64_t seen = 0;
    for (;;) {
      wake.wait_for(lock, stop, kTick, [] { return false; });
      if (stop.stop_requested()) return;
      const std::uint64_t before = std::exchange(seen, library.calls_.load(std::memory_order_relaxed));
      if (seen != before) continue;
      const auto in_turn = library.lock();
      int any = 0;
      MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &any, MPI_STATUS_IGNORE);
      seen = library.calls_.load(std::memory_order_relaxed);
    }
  }

  std::jthread thread_;
};

MpiLibrary::MpiLibrary() {
  int level = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &level));
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_set_errhandler(MPI_COMM_SELF, MPI_ERRORS_RETURN);
  if (level < MPI_THREAD_SERIALIZED) {
    MPI_Finalize();
    throw Error(ExitCode::resources,
                "this MPI does not let a communication thread call it (MPI_THREAD_SERIALIZED)",
                "load an MPI that was built with thread support");
  }
  one_at_a_time_ = level < MPI_THREAD_MULTIPLE;
}

MpiLibrary::~MpiLibrary() { MPI_Finalize(); }

std::unique_lock<std::mutex> MpiLibrary::lock() const {
  calls_.fetch_add(1, std::memory_order_relaxed);
  return one_at_a_time_ ? std::unique_lock(mutex_) : std::unique_lock<std::mutex>();
}

std::shared_ptr<void> MpiLibrary::progress() {
  const std::lock_guard lock(progress_mutex_);
  auto current = progress_.lock();
  if (!current) progress_ = current = std::make_shared<Progress>(*this);
  return current;
}

}  // namespace muster
