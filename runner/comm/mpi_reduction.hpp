#pragma once
/// Our arithmetic as MPI operations. For .cpp files that include mpi.h.

#include <mpi.h>

#include "core/dtype.hpp"
#include "runner/communicator.hpp"

namespace muster {

MPI_Datatype mpi_type(DType type);

/// reduce_into as an MPI_Op, which lives until MPI_Finalize. MPI knows neither f16 nor bf16, and its minimum
/// of floats may differ between ranks where NaN or -0 is among them.
MPI_Op mpi_operation(DType type, ReduceOp op);

}  // namespace muster
