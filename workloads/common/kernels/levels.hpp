#pragma once
/// The instruction sets that loops.cpp is compiled for: those beside `base` exist on x86-64 only.

#include "workloads/common/kernels/kernels.hpp"

namespace muster::workloads {

namespace base {
const Kernels& table();
}
namespace avx2 {
const Kernels& table();
}
namespace avx512 {
const Kernels& table();
}

}  // namespace muster::workloads
