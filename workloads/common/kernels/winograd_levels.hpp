#pragma once
/// The Winograd kernels of each instruction set that has any.

#include "workloads/common/kernels/winograd.hpp"

namespace muster::workloads::avx512 {

const WinogradKernels<float>& winograd_f32();
const WinogradKernels<Bf16>& winograd_bf16();

}  // namespace muster::workloads::avx512
