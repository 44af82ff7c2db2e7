#include "workloads/common/kernels/kernels.hpp"

#include <cstdlib>
#include <string_view>

#include "workloads/common/kernels/levels.hpp"

namespace muster::workloads {
namespace {

const Kernels& choose() {
#if defined(__x86_64__)
  const char* given = std::getenv("MUSTER_KERNELS");
  const std::string_view limit = given ? given : "avx512";
  if (limit == "base") return base::table();
  // What GCC calls x86-64-v4 and x86-64-v3.
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512cd");
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  if (has_avx512 && has_avx2 && limit != "avx2") return avx512::table();
  if (has_avx2) return avx2::table();
#endif
  return base::table();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

}  // namespace muster::workloads
