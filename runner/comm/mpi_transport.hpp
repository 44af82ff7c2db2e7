#pragma once
/// Ranks as MPI processes, wherever they run.

#include <memory>

#include "runner/comm/mpi_library.hpp"
#include "runner/comm/transport.hpp"

namespace muster {

/// Over a duplicate of MPI_COMM_WORLD. Every rank must call this.
std::unique_ptr<Transport> make_mpi_transport(std::shared_ptr<MpiLibrary> library);

}  // namespace muster
