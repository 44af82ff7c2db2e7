#pragma once
/// IEEE 754 binary16, which C++20 has no type for.

#include <cstddef>
#include <cstdint>

namespace muster {

float f32_from_f16(std::uint16_t half);

/// Round to nearest even; overflow gives infinity, NaN stays NaN.
std::uint16_t f16_from_f32(float value);

/// a[i] += b[i], added in f32; by F16C where the processor has it.
void sum_f16(std::uint16_t* a, const std::uint16_t* b, std::size_t count);

}  // namespace muster
