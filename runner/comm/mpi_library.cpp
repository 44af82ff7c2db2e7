#include "runner/comm/mpi_library.hpp"

#include <mpi.h>

#include "core/error.hpp"
#include "runner/comm/mpi_error.hpp"

namespace muster {

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
  return one_at_a_time_ ? std::unique_lock(mutex_) : std::unique_lock<std::mutex>();
}

}  // namespace muster
