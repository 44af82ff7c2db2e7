/// Compressors' kernels over emulated CUDA as a module that takes the emulated GPU's memory, and none else.

#include <mutex>
#include <stdexcept>

#include "tests/workloads/gpu/emulated_memory.hpp"

#define muster_device_compression muster_kernels_over_host_memory
#include "workloads/common/compression/cuda/module.cpp"  // NOLINT: its function under another name.
#undef muster_device_compression

namespace muster::workloads {
namespace {

const DeviceCompression& kernels() { return *muster_kernels_over_host_memory(); }

/// The emulation has one grid, and ranks are threads.
std::mutex& grid_in_use() {
  static std::mutex one;
  return one;
}

template <class Value>
Value taken(Value value) {
  return value;
}
template <class Element>
Element* taken(Element* memory) {
  if (memory == nullptr) return memory;
  void* here = testing::on_host(memory);
  if (here == memory) throw std::logic_error("a kernel was given memory of a CPU");
  const std::size_t alignment = sizeof(Element) == 1 ? 4 : alignof(Element);  // Codes are words, too.
  if (reinterpret_cast<std::uintptr_t>(here) % alignment != 0) throw std::logic_error("memory out of step");
  return static_cast<Element*>(here);
}
Quantisation taken(Quantisation how) {
  how.scales = taken(how.scales);
  return how;
}
DeviceCall taken(DeviceCall call) {
  call.scratch = taken(static_cast<std::uint64_t*>(call.scratch));
  call.report = taken(call.report);
  return call;
}

template <auto kMember>
struct Taking;
template <class... Parameters, void (*DeviceCompression::*kMember)(Parameters...)>
struct Taking<kMember> {
  static void call(Parameters... parameters) {
    const std::lock_guard lock(grid_in_use());
    (kernels().*kMember)(taken(parameters)...);
  }
};

}  // namespace
}  // namespace muster::workloads

extern "C" __attribute__((visibility("default"))) const muster::workloads::DeviceCompression*
muster_device_compression() {
  using namespace muster::workloads;
  static const DeviceCompression table{.scratch_bytes = kernels().scratch_bytes,
                                       .inspect = Taking<&DeviceCompression::inspect>::call,
                                       .threshold = Taking<&DeviceCompression::threshold>::call,
                                       .largest_k = Taking<&DeviceCompression::largest_k>::call,
                                       .choose = Taking<&DeviceCompression::choose>::call,
                                       .gather = Taking<&DeviceCompression::gather>::call,
                                       .scatter_add = Taking<&DeviceCompression::scatter_add>::call,
                                       .ternary_scale = Taking<&DeviceCompression::ternary_scale>::call,
                                       .norms = Taking<&DeviceCompression::norms>::call,
                                       .quantise = Taking<&DeviceCompression::quantise>::call,
                                       .dequantise_add = Taking<&DeviceCompression::dequantise_add>::call,
                                       .to_half = Taking<&DeviceCompression::to_half>::call,
                                       .to_bf16 = Taking<&DeviceCompression::to_bf16>::call,
                                       .add_half = Taking<&DeviceCompression::add_half>::call,
                                       .add_bf16 = Taking<&DeviceCompression::add_bf16>::call};
  return &table;
}
