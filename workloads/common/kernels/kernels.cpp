#include "workloads/common/kernels/kernels.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <string_view>

#include "workloads/common/kernels/levels.hpp"
#include "workloads/common/kernels/winograd_levels.hpp"

namespace muster::workloads {
namespace {

// The widest instruction set that may be used.
enum class Level { base, avx2, avx512 };

Level level() {
#if defined(__x86_64__)
  const char* given = std::getenv("MUSTER_KERNELS");
  const std::string_view limit = given ? given : "avx512";
  if (limit == "base") return Level::base;
  // What GCC calls x86-64-v4 and x86-64-v3.
  const bool has_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512cd");
  const bool has_avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") &&
                        __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  if (has_avx512 && has_avx2 && limit != "avx2") return Level::avx512;
  if (has_avx2) return Level::avx2;
#endif
  return Level::base;
}

#if defined(__x86_64__)
// oneDNN's direct convolutions with AMX tiles are faster than anything made of bfloat16 vectors.
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (d >> 22 & 1) != 0;
}
#endif

const Kernels& choose() {
#if defined(__x86_64__)
  if (level() == Level::avx512) return avx512::table();
  if (level() == Level::avx2) return avx2::table();
#endif
  return base::table();
}

const CompressionKernels& choose_compression() {
#if defined(__x86_64__)
  if (level() == Level::avx512) return avx512::compression();
  if (level() == Level::avx2) return avx2::compression();
#endif
  return base::compression();
}

}  // namespace

const Kernels& kernels() {
  static const Kernels& chosen = choose();
  return chosen;
}

const CompressionKernels& compression_kernels() {
  static const CompressionKernels& chosen = choose_compression();
  return chosen;
}

const WinogradKernels<float>* winograd_f32() {
#if defined(__x86_64__)
  static const bool there = level() == Level::avx512;
  if (there) return &avx512::winograd_f32();
#endif
  return nullptr;
}

const WinogradKernels<Bf16>* winograd_bf16() {
#if defined(__x86_64__)
  static const bool there = level() == Level::avx512 && __builtin_cpu_supports("avx512bf16") && !has_amx();
  if (there) return &avx512::winograd_bf16();
#endif
  return nullptr;
}

}  // namespace muster::workloads
