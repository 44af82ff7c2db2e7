#pragma once
/// Of CUDA's half precision what cuda_runtime.h beside this is of CUDA.

#include <bit>
#include <cstdint>

using __half = _Float16;
inline __half __float2half_rn(float value) { return static_cast<__half>(value); }
inline float __half2float(__half value) { return static_cast<float>(value); }
inline unsigned short __half_as_ushort(__half value) { return std::bit_cast<unsigned short>(value); }
inline __half __ushort_as_half(unsigned short bits) { return std::bit_cast<__half>(bits); }
