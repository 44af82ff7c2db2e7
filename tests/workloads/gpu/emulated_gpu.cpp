/// LibTorch's CUDA device without a GPU, for a LibTorch without CUDA: its operators run on the CPU, on
/// copies. What reads a GPU's memory from a CPU dies, since its addresses are none of a CPU's; an operator
/// that is given tensors of both throws, as CUDA's would. There is one stream, on which everything is done at
/// once.

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/library.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tests/workloads/gpu/emulated_memory.hpp"
#include "tests/workloads/gpu/gang_of_test.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"

namespace muster::workloads::testing {
namespace {

/// A backward pass has a thread of LibTorch's for each GPU, and ranks that are threads a GPU each.
constexpr c10::DeviceIndex kGpus = 4;
thread_local c10::DeviceIndex current_gpu = 0;

c10::Device gpu(c10::DeviceIndex index) { return {c10::kCUDA, index}; }

class DeviceMemory final : public c10::Allocator {
 public:
  explicit DeviceMemory(c10::DeviceIndex index) : index_(index) {}
  c10::DataPtr allocate(std::size_t bytes) override {
    void* memory = on_gpu(bytes > 0 ? std::malloc(bytes) : nullptr);
    return {memory, memory, &release, gpu(index_)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    std::memcpy(on_host(to), on_host(from), bytes);
  }

 private:
  static void release(void* memory) { std::free(on_host(memory)); }
  c10::DeviceIndex index_;
};

DeviceMemory* memory_of(const std::optional<at::Device>& device) {
  static std::array<DeviceMemory, kGpus> memories{DeviceMemory(0), DeviceMemory(1), DeviceMemory(2),
                                                  DeviceMemory(3)};
  const c10::DeviceIndex index = device && device->has_index() ? device->index() : current_gpu;
  return &memories.at(static_cast<std::size_t>(index));
}

using Clock = std::chrono::steady_clock;

struct OneStream final : c10::impl::DeviceGuardImplInterface {
  c10::DeviceType type() const override { return c10::kCUDA; }
  c10::Device exchangeDevice(c10::Device device) const override {
    return gpu(std::exchange(current_gpu, device.index()));
  }
  c10::Device getDevice() const override { return gpu(current_gpu); }
  void setDevice(c10::Device device) const override { current_gpu = device.index(); }
  void uncheckedSetDevice(c10::Device device) const noexcept override { current_gpu = device.index(); }
  c10::Stream getStream(c10::Device device) const override { return stream(device); }
  c10::Stream getDefaultStream(c10::Device device) const override { return stream(device); }
  c10::Stream getStreamFromGlobalPool(c10::Device device, bool) const override { return stream(device); }
  c10::Stream exchangeStream(c10::Stream) const override { return stream(gpu(current_gpu)); }
  c10::DeviceIndex deviceCount() const noexcept override { return kGpus; }
  void* getStreamNativeHandle(const c10::Stream) const override { return nullptr; }
  void record(void** event, const c10::Stream&, c10::DeviceIndex, c10::EventFlag) const override {
    destroyEvent(*event, 0);
    *event = new Clock::time_point(Clock::now());
  }
  void block(void*, const c10::Stream&) const override {}
  bool queryEvent(void*) const override { return true; }
  void destroyEvent(void* event, c10::DeviceIndex) const noexcept override {
    delete static_cast<Clock::time_point*>(event);
  }
  double elapsedTime(void* begin, void* end, c10::DeviceIndex) const override {
    const auto& from = *static_cast<Clock::time_point*>(begin);
    return std::chrono::duration<double, std::milli>(*static_cast<Clock::time_point*>(end) - from).count();
  }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeEvent(void*) const override {}
  void synchronizeDevice(c10::DeviceIndex) const override {}
  void recordDataPtrOnStream(const c10::DataPtr&, const c10::Stream&) const override {}

 private:
  static c10::Stream stream(c10::Device device) { return c10::Stream(c10::Stream::DEFAULT, device); }
};

/// Under the name by which LibTorch looks for them. Nothing of cuDNN and the like.
struct CUDAHooks final : at::CUDAHooksInterface {
  explicit CUDAHooks(at::CUDAHooksArgs) {}
  void init() const override {}
  bool hasCUDA() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return kGpus; }
  c10::DeviceIndex getCurrentDevice() const override { return current_gpu; }
  c10::DeviceIndex current_device() const override { return current_gpu; }
  int getNumGPUs() const override { return kGpus; }
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::kCPU); }
};

/// The same memory as a CPU sees it.
at::Tensor seen_by_host(const at::Tensor& tensor) {
  if (tensor.is_cpu()) return tensor;
  return at::from_blob(on_host(tensor.const_data_ptr()), tensor.sizes(), tensor.strides(),
                       at::TensorOptions(tensor.scalar_type()));
}

at::Tensor empty(at::IntArrayRef size, std::optional<at::ScalarType> type, std::optional<at::Layout>,
                 std::optional<at::Device> device, std::optional<bool>,
                 std::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(size, memory_of(device), c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                   type.value_or(at::kFloat), format);
}

at::Tensor empty_strided(at::IntArrayRef size, at::IntArrayRef stride, std::optional<at::ScalarType> type,
                         std::optional<at::Layout>, std::optional<at::Device> device, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, memory_of(device),
                                           c10::DispatchKeySet(c10::DispatchKey::CUDA),
                                           type.value_or(at::kFloat));
}

at::Tensor& copy(at::Tensor& to, const at::Tensor& from, bool) {
  const at::NoGradGuard no_grad;
  seen_by_host(to).copy_(seen_by_host(from));
  return to;
}

const at::Tensor& resize_in_place(const at::Tensor& tensor, at::IntArrayRef size,
                                  std::optional<at::MemoryFormat> format) {
  if (tensor.sizes() == size) return tensor;
  const at::Tensor fresh =
      at::empty(size, tensor.options().memory_format(format.value_or(at::MemoryFormat::Contiguous)));
  tensor.unsafeGetTensorImpl()->set_storage_keep_dtype(fresh.storage());
  tensor.unsafeGetTensorImpl()->set_sizes_and_strides(fresh.sizes(), fresh.strides());
  return tensor;
}

at::Tensor copy_and_resize(const at::Tensor& from, const at::Tensor& to) {
  resize_in_place(to, from.sizes(), std::nullopt);
  at::Tensor target = to;
  return copy(target, from, false);
}

/// Its schema does not say that it writes to the running statistics, so a copy would get them.
std::tuple<at::Tensor, at::Tensor, at::Tensor> batch_norm(const at::Tensor& input,
                                                          const std::optional<at::Tensor>& weight,
                                                          const std::optional<at::Tensor>& bias,
                                                          const std::optional<at::Tensor>& mean,
                                                          const std::optional<at::Tensor>& var, bool training,
                                                          double momentum, double epsilon) {
  const auto seen = [](const std::optional<at::Tensor>& one) {
    return one && one->defined() ? seen_by_host(*one) : at::Tensor();
  };
  const auto [output, own_mean, own_scale] = at::native_batch_norm(
      seen_by_host(input), seen(weight), seen(bias), seen(mean), seen(var), training, momentum, epsilon);
  const at::Device device = input.device();
  return {output.to(device), own_mean.to(device), own_scale.to(device)};
}

void run_on_host(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const c10::IValue& argument : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (argument.isTensor() && argument.toTensor().defined() && argument.toTensor().is_cpu() &&
        argument.toTensor().dim() > 0) {
      throw std::runtime_error(toString(op.operator_name()) + " was given tensors of a GPU and of a CPU");
    }
  }
  at::native::cpu_fallback(op, stack);
}

/// Takes the emulated GPU's memory alone.
class FakeGpuLinks final : public DeviceCommunicator {
 public:
  explicit FakeGpuLinks(Communicator& host) : host_(host) {}
  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  PendingWork all_reduce(void* data, std::size_t count, DType type, ReduceOp op,
                         ExchangeAlgorithm algorithm) override {
    return host_.all_reduce(taken(data), count, type, op, algorithm);
  }
  PendingWork all_gather(const void* in, std::size_t bytes, void* out) override {
    return host_.all_gather(taken(in), bytes, taken(out));
  }
  PendingWork all_gather_v(const void* in, void* out, const std::vector<std::size_t>& bytes_of) override {
    return host_.all_gather_v(taken(in), taken(out), bytes_of);
  }
  PendingWork reduce_scatter(const void* in, void* out, std::size_t count, DType type, ReduceOp op) override {
    return host_.reduce_scatter(taken(in), taken(out), count, type, op);
  }
  PendingWork broadcast(void* data, std::size_t bytes, int root) override {
    return host_.broadcast(taken(data), bytes, root);
  }
  void barrier() override { host_.barrier(); }
  std::unique_ptr<Communicator> split(int colour, int key) override {
    auto part = host_.split(colour, key);
    auto links = std::make_unique<FakeGpuLinks>(*part);
    links->owned_ = std::move(part);
    return links;
  }
  /// What goes through the host's communicator is in its traffic.
  Traffic traffic() const override { return {.collectives = taken_}; }
  void on_stream(void*) override {}

 private:
  void* taken(const void* memory) {
    ++taken_;
    if (memory == on_host(memory)) throw std::logic_error("memory of a CPU between GPUs");
    return on_host(memory);
  }
  Communicator& host_;
  std::uint64_t taken_ = 0;
  std::unique_ptr<Communicator> owned_;
};

}  // namespace

std::string missing_gpus(int wanted) { return wanted <= kGpus ? "" : "fewer GPUs are emulated"; }

std::unique_ptr<DeviceCommunicator> links_between_gpus(Communicator& ranks) {
  return std::make_unique<FakeGpuLinks>(ranks);
}

}  // namespace muster::workloads::testing

namespace at {
// NOLINTNEXTLINE: the macro's name for it.
using muster::workloads::testing::CUDAHooks;
REGISTER_CUDA_HOOKS(CUDAHooks)
C10_REGISTER_GUARD_IMPL(CUDA, muster::workloads::testing::OneStream)
}  // namespace at

TORCH_LIBRARY_IMPL(_, CUDA, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&muster::workloads::testing::run_on_host>());
}

TORCH_LIBRARY_IMPL(aten, CUDA, library) {
  library.impl("empty.memory_format", TORCH_FN(muster::workloads::testing::empty));
  library.impl("empty_strided", TORCH_FN(muster::workloads::testing::empty_strided));
  library.impl("copy_", TORCH_FN(muster::workloads::testing::copy));
  library.impl("_copy_from_and_resize", TORCH_FN(muster::workloads::testing::copy_and_resize));
  // Whole, as cuDNN has them.
  for (const char* name : {"convolution", "convolution_backward"})
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&muster::workloads::testing::run_on_host>());
  library.impl("native_batch_norm", TORCH_FN(muster::workloads::testing::batch_norm));
  library.impl("resize_", TORCH_FN(muster::workloads::testing::resize_in_place));
  library.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  library.impl("view", TORCH_FN(at::native::view));
  library.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
}
