#include "runner/comm/mpi_error.hpp"

#include <mpi.h>

#include <string>

#include "core/error.hpp"

namespace muster {

void check_mpi(int code, std::source_location where) {
  if (code == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  throw Error(ExitCode::internal,
              std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": MPI: " + text,
              "look in the log for a rank that died first; otherwise check the interconnect");
}

}  // namespace muster
