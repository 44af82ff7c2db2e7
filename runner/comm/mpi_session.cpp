#include "runner/comm/mpi_session.hpp"

#include <mpi.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "runner/comm/host_transport.hpp"
#include "runner/comm/mpi_error.hpp"
#include "runner/comm/mpi_library.hpp"
#include "runner/comm/mpi_transport.hpp"

namespace muster {
namespace {

using HostName = std::array<char, 128>;

/// The same on ranks of one running kernel with one name, and nowhere else.
HostName this_host() {
  HostName name{};
  gethostname(name.data(), 64);
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  boot.copy(name.data() + 64, 63);
  return name;
}

}  // namespace

MpiSession::MpiSession() : library_(std::make_shared<MpiLibrary>()) {
  const HostName own = this_host();
  const auto lock = library_->lock();
  check_mpi(MPI_Comm_rank(MPI_COMM_WORLD, &rank_));
  check_mpi(MPI_Comm_size(MPI_COMM_WORLD, &size_));
  std::vector<HostName> names(static_cast<std::size_t>(size_));
  const int bytes = static_cast<int>(own.size());
  check_mpi(MPI_Allgather(own.data(), bytes, MPI_BYTE, names.data(), bytes, MPI_BYTE, MPI_COMM_WORLD));
  host_size_ = 0;
  for (int r = 0; r < size_; ++r) {
    if (names[static_cast<std::size_t>(r)] != own) continue;
    if (r < rank_) ++host_rank_;
    ++host_size_;
  }
}

MpiSession::~MpiSession() = default;

std::unique_ptr<QueuedCommunicator> MpiSession::world(HostPath path) {
  auto transport = make_mpi_transport(library_);
  if (path == HostPath::shared_memory && host_size_ == size_)
    if (auto on_host = make_host_transport(*transport, 0, rank_))
      return std::make_unique<QueuedCommunicator>(std::move(on_host), library_);
  return std::make_unique<QueuedCommunicator>(std::move(transport), library_);
}

void MpiSession::abort(int code) {
  MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace muster
