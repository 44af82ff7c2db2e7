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

/// As the program that started this process tells: Open MPI, Slurm, MPICH, Intel MPI.
bool started_alone() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
    if (const char* size = std::getenv(name)) return std::atoi(size) == 1;
  // Something else that starts ranks: MPI knows how many.
  return std::getenv("PMIX_RANK") == nullptr && std::getenv("PMI_RANK") == nullptr;
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
  for (int r = 0; r < size_; ++r) {
    if (names[static_cast<std::size_t>(r)] != own) continue;
    if (r < rank_) ++host_rank_;
    ++host_size_;
  }
}

MpiSession::~MpiSession() = default;

std::unique_ptr<MpiSession> MpiSession::of_task(int ranks) {
  if (ranks == 1 && started_alone()) return std::unique_ptr<MpiSession>(new MpiSession(WithoutMpi{}));
  return std::make_unique<MpiSession>();
}

std::unique_ptr<QueuedCommunicator> MpiSession::world(HostPath path) {
  if (library_ == nullptr)
    return std::make_unique<QueuedCommunicator>(std::move(make_host_transports(1).front()));
  auto transport = make_mpi_transport(library_);
  if (path == HostPath::shared_memory && host_size_ == size_)
    if (auto on_host = make_host_transport(*transport, 0, rank_))
      return std::make_unique<QueuedCommunicator>(std::move(on_host), library_);
  return std::make_unique<QueuedCommunicator>(std::move(transport), library_);
}

void MpiSession::abort(int code) {
  if (library_ != nullptr) MPI_Abort(MPI_COMM_WORLD, code);
  std::_Exit(code);
}

}  // namespace muster
