/// The kernels over emulated CUDA as a module that takes the emulated GPU's memory, and none else.

#include <mutex>
#include <stdexcept>

#include "tests/workloads/gpu/emulated_memory.hpp"

#define muster_device_compression compression_over_host_memory
#define muster_device_layers layers_over_host_memory
#include "workloads/common/cuda/module.cpp"  // NOLINT: its functions under other names.
#undef muster_device_compression
#undef muster_device_layers

namespace muster::workloads {
namespace {

template <class Table>
const Table& kernels();
template <>
const DeviceCompression& kernels<DeviceCompression>() {
  return *compression_over_host_memory();
}
template <>
const DeviceLayers& kernels<DeviceLayers>() {
  return *layers_over_host_memory();
}

/// The emulation has one grid, and ranks are threads.
std::mutex& grid_in_use() {
  static std::mutex one;
  return one;
}

template <class Value>
Value taken(Value value) {
  return value;
}
void* taken(void* memory) {
  if (memory == nullptr) return memory;
  void* here = testing::on_host(memory);
  if (here == memory) throw std::logic_error("a kernel was given memory of a CPU");
  return here;
}
const void* taken(const void* memory) { return taken(const_cast<void*>(memory)); }
template <class Element>
Element* taken(Element* memory) {
  const void* here = taken(static_cast<const void*>(memory));
  const std::size_t alignment = sizeof(Element) == 1 ? 4 : alignof(Element);  // Codes are words, too.
  if (reinterpret_cast<std::uintptr_t>(here) % alignment != 0) throw std::logic_error("memory out of step");
  return static_cast<Element*>(const_cast<void*>(here));
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

DeviceNormLayer taken(DeviceNormLayer layer) {
  layer.weight = taken(layer.weight);
  layer.bias = taken(layer.bias);
  layer.running_mean = taken(layer.running_mean);
  layer.running_var = taken(layer.running_var);
  return layer;
}
DeviceNormGradients taken(DeviceNormGradients gradients) {
  return {taken(gradients.x), taken(gradients.skip), taken(gradients.weight), taken(gradients.bias)};
}

template <auto kMember>
struct Taking;
template <class Table, class... Parameters, void (*Table::*kMember)(Parameters...)>
struct Taking<kMember> {
  static void call(Parameters... parameters) {
    const std::lock_guard lock(grid_in_use());
    (kernels<Table>().*kMember)(taken(parameters)...);
  }
};

}  // namespace
}  // namespace muster::workloads

extern "C" __attribute__((visibility("default"))) const muster::workloads::DeviceCompression*
muster_device_compression() {
  using namespace muster::workloads;
  static const DeviceCompression table{.scratch_bytes = kernels<DeviceCompression>().scratch_bytes,
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

extern "C" __attribute__((visibility("default"))) const muster::workloads::DeviceLayers*
muster_device_layers() {
  using namespace muster::workloads;
  static const DeviceLayers table{.norm_scratch_bytes = kernels<DeviceLayers>().norm_scratch_bytes,
                                  .norm_statistics = Taking<&DeviceLayers::norm_statistics>::call,
                                  .norm_apply = Taking<&DeviceLayers::norm_apply>::call,
                                  .norm_backward = Taking<&DeviceLayers::norm_backward>::call,
                                  .max_pool = Taking<&DeviceLayers::max_pool>::call,
                                  .max_pool_backward = Taking<&DeviceLayers::max_pool_backward>::call,
                                  .make_batch = Taking<&DeviceLayers::make_batch>::call};
  return &table;
}
