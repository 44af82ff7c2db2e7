#pragma once
/// MPI's return codes as errors. For .cpp files that include mpi.h.

#include <source_location>

namespace muster {

/// Throws Error(internal) with MPI's own text and the call's place.
void check_mpi(int code, std::source_location where = std::source_location::current());

}  // namespace muster
