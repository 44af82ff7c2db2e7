#pragma once
/// The instruction sets that the loops are compiled for: those beside `base` exist on x86-64 only.

#include "workloads/common/kernels/compression.hpp"
#include "workloads/common/kernels/kernels.hpp"

namespace muster::workloads {

namespace base {
const Kernels& table();
const CompressionKernels& compression();
}  // namespace base
namespace avx2 {
const Kernels& table();
const CompressionKernels& compression();
}  // namespace avx2
namespace avx512 {
const Kernels& table();
const CompressionKernels& compression();
}  // namespace avx512

}  // namespace muster::workloads
