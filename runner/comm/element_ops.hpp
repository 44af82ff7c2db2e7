#pragma once
/// Element-wise reduction, the arithmetic of every collective that sums.

#include <cstddef>

#include "core/dtype.hpp"
#include "runner/communicator.hpp"

namespace muster {

/// accumulator[i] = accumulator[i] op operand[i]. f16 and bf16 are added in f32 and rounded to nearest even.
/// Minimum and maximum do not depend on the operands' order: NaN wins, -0 is below +0. Integer sums wrap; a
/// boolean sum is 'or'. The two must not overlap.
void reduce_into(void* accumulator, const void* operand, std::size_t count, DType type, ReduceOp op);

}  // namespace muster
