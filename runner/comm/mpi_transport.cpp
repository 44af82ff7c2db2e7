#include "runner/comm/mpi_transport.hpp"

#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "core/error.hpp"
#include "runner/comm/element_ops.hpp"
#include "runner/comm/mpi_error.hpp"
#include "runner/comm/mpi_reduction.hpp"

namespace muster {
namespace {

/// Longer messages travel as several, so that reducing one part overlaps the arrival of the next. Below what
/// Open MPI's TCP sends without asking first (64 KiB with headers): an answer that has to wait behind
/// megabytes of data lets an exchange go in one direction at a time. docs/communicator.md has the numbers.
constexpr std::size_t kSegmentBytes = 60 * std::size_t{1024};
/// Segments that are waited for ahead of the one that is reduced.
constexpr std::size_t kAhead = 16;
constexpr int kTag = 1;
constexpr std::size_t kLargestCount = std::size_t{1} << 30;

std::size_t segments_of(std::size_t bytes) {
  return std::max<std::size_t>(1, (bytes + kSegmentBytes - 1) / kSegmentBytes);
}

std::size_t segment_length(std::size_t bytes, std::size_t segment) {
  return std::min(kSegmentBytes, bytes - segment * kSegmentBytes);
}

/// MPI's waits burn the core that the computing thread needs: ask, and sleep longer each time.
class Patience {
 public:
  void pause() {
    ++asked_;
    if (asked_ < 200) return;
    std::this_thread::sleep_for(std::chrono::microseconds(asked_ < 400 ? 20 : 100));
  }

 private:
  int asked_ = 0;
};

class MpiTransport final : public Transport {
 public:
  MpiTransport(std::shared_ptr<MpiLibrary> library, MPI_Comm communicator, int rank, int size)
      : Transport(rank, size),
        library_(std::move(library)),
        progress_(library_->progress()),
        communicator_(communicator) {}

  ~MpiTransport() override {
    const auto lock = library_->lock();
    MPI_Comm_free(&communicator_);
  }

  void library_all_reduce(void* data, std::size_t count, DType type, ReduceOp op) override {
    const MPI_Op operation = mpi_operation(type, op);
    auto* bytes = static_cast<std::byte*>(data);
    for (std::size_t at = 0; at < count; at += kLargestCount) {
      const int piece = static_cast<int>(std::min(kLargestCount, count - at));
      MPI_Request request = MPI_REQUEST_NULL;
      call([&] {
        return MPI_Iallreduce(MPI_IN_PLACE, bytes + at * size_of(type), piece, mpi_type(type), operation,
                              communicator_, &request);
      });
      wait(request, nullptr);
    }
  }

  std::unique_ptr<Transport> split(int colour, int key) override {
    MPI_Comm part = MPI_COMM_NULL;
    call([&] { return MPI_Comm_split(communicator_, colour, key, &part); });
    return adopt(library_, part);
  }

  static std::unique_ptr<Transport> adopt(std::shared_ptr<MpiLibrary> library, MPI_Comm communicator) {
    int rank = 0;
    int size = 1;
    {
      const auto lock = library->lock();
      check_mpi(MPI_Comm_set_errhandler(communicator, MPI_ERRORS_RETURN));
      check_mpi(MPI_Comm_rank(communicator, &rank));
      check_mpi(MPI_Comm_size(communicator, &size));
    }
    return std::make_unique<MpiTransport>(std::move(library), communicator, rank, size);
  }

 private:
  void do_exchange(const Outgoing& out, const Incoming& in) override {
    std::vector<MPI_Request> incoming;
    if (in.from >= 0)
      for (std::size_t s = 0; s < segments_of(in.bytes); ++s)
        incoming.push_back(start_receive(static_cast<std::byte*>(in.data) + s * kSegmentBytes,
                                         segment_length(in.bytes, s), in.from));
    std::vector<MPI_Request> outgoing = start_sends(out);
    for (std::size_t s = 0; s < incoming.size(); ++s)
      finish_receive(incoming[s], segment_length(in.bytes, s), in.from);
    for (MPI_Request& request : outgoing) wait(request, nullptr);
  }

  void do_exchange_reduce(const Outgoing& out, const Incoming& in, DType type, ReduceOp op) override {
    std::vector<MPI_Request> outgoing = start_sends(out);
    if (in.from >= 0) {
      auto* accumulator = static_cast<std::byte*>(in.data);
      const std::size_t segments = segments_of(in.bytes);
      scratch_.resize(kAhead * kSegmentBytes);
      MPI_Request requests[kAhead];
      const auto place = [&](std::size_t s) { return scratch_.data() + s % kAhead * kSegmentBytes; };
      const auto start = [&](std::size_t s) {
        requests[s % kAhead] = start_receive(place(s), segment_length(in.bytes, s), in.from);
      };
      for (std::size_t s = 0; s < std::min(kAhead, segments); ++s) start(s);
      for (std::size_t s = 0; s < segments; ++s) {
        const std::size_t bytes = segment_length(in.bytes, s);
        finish_receive(requests[s % kAhead], bytes, in.from);
        reduce_into(accumulator + s * kSegmentBytes, place(s), bytes / size_of(type), type, op);
        if (s + kAhead < segments) start(s + kAhead);
      }
    }
    for (MPI_Request& request : outgoing) wait(request, nullptr);
  }

  std::vector<MPI_Request> start_sends(const Outgoing& out) {
    std::vector<MPI_Request> requests;
    if (out.to < 0) return requests;
    const auto* data = static_cast<const std::byte*>(out.data);
    for (std::size_t s = 0; s < segments_of(out.bytes); ++s) {
      requests.push_back(MPI_REQUEST_NULL);
      call([&] {
        return MPI_Isend(data + s * kSegmentBytes, static_cast<int>(segment_length(out.bytes, s)), MPI_BYTE,
                         out.to, kTag, communicator_, &requests.back());
      });
    }
    return requests;
  }

  MPI_Request start_receive(void* data, std::size_t bytes, int from) {
    MPI_Request request = MPI_REQUEST_NULL;
    call([&] {
      return MPI_Irecv(data, static_cast<int>(bytes), MPI_BYTE, from, kTag, communicator_, &request);
    });
    return request;
  }

  void finish_receive(MPI_Request& request, std::size_t bytes, int from) {
    MPI_Status status{};
    wait(request, &status);
    int got = 0;
    MPI_Get_count(&status, MPI_BYTE, &got);
    if (static_cast<std::size_t>(got) == bytes) return;
    throw Error(ExitCode::internal,
                "rank " + std::to_string(from) + " sends " + std::to_string(got) + " bytes where rank " +
                    std::to_string(rank()) + " expects " + std::to_string(bytes),
                "every rank must call the same collectives in the same order, with the same counts");
  }

  void wait(MPI_Request& request, MPI_Status* status) {
    Patience patience;
    int done = 0;
    for (;;) {
      call([&] { return MPI_Test(&request, &done, status == nullptr ? MPI_STATUS_IGNORE : status); });
      if (done != 0) return;
      patience.pause();
    }
  }

  template <typename Call>
  void call(Call&& function, std::source_location where = std::source_location::current()) {
    const auto lock = library_->lock();
    check_mpi(function(), where);
  }

  std::shared_ptr<MpiLibrary> library_;
  std::shared_ptr<void> progress_;
  MPI_Comm communicator_;
  std::vector<std::byte> scratch_;
};

}  // namespace

std::unique_ptr<Transport> make_mpi_transport(std::shared_ptr<MpiLibrary> library) {
  MPI_Comm world = MPI_COMM_NULL;
  {
    const auto lock = library->lock();
    check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world));
  }
  return MpiTransport::adopt(std::move(library), world);
}

}  // namespace muster
