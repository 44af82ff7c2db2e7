#include "runner/comm/mpi_reduction.hpp"

#include <array>
#include <cstddef>
#include <mutex>
#include <utility>

#include "runner/comm/element_ops.hpp"
#include "runner/comm/mpi_error.hpp"

namespace muster {
namespace {

constexpr std::size_t kTypes = static_cast<std::size_t>(DType::boolean) + 1;
constexpr std::size_t kOps = 3;

/// MPI hands an operation no context, so there is a function for each type and operation.
template <std::size_t kIndex>
void reduce(void* in, void* in_out, int* length, MPI_Datatype*) {
  reduce_into(in_out, in, static_cast<std::size_t>(*length), static_cast<DType>(kIndex / kOps),
              static_cast<ReduceOp>(kIndex % kOps));
}

template <std::size_t... kIndices>
constexpr std::array<MPI_User_function*, sizeof...(kIndices)> make_functions(
    std::index_sequence<kIndices...>) {
  return {&reduce<kIndices>...};
}

constexpr auto kFunctions = make_functions(std::make_index_sequence<kTypes * kOps>());

}  // namespace

MPI_Datatype mpi_type(DType type) {
  switch (size_of(type)) {
    case 1:
      return MPI_UINT8_T;
    case 2:
      return MPI_UINT16_T;
    case 4:
      return MPI_UINT32_T;
    default:
      return MPI_UINT64_T;
  }
}

MPI_Op mpi_operation(DType type, ReduceOp op) {
  static std::mutex mutex;
  static std::array<MPI_Op, kTypes* kOps> operations = [] {
    std::array<MPI_Op, kTypes * kOps> none{};
    none.fill(MPI_OP_NULL);
    return none;
  }();
  const std::lock_guard lock(mutex);
  const std::size_t index = static_cast<std::size_t>(type) * kOps + static_cast<std::size_t>(op);
  if (operations[index] == MPI_OP_NULL) check_mpi(MPI_Op_create(kFunctions[index], 1, &operations[index]));
  return operations[index];
}

}  // namespace muster
