#include "workloads/common/layers/max_pool.hpp"

#include <ATen/Parallel.h>

#include "workloads/common/layers/elements.hpp"
#include "workloads/common/layers/gpu_layers.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

const MaxPoolKernels<float>& loops(float) { return kernels().pool_f32; }
const MaxPoolKernels<double>& loops(double) { return kernels().pool_f64; }
const MaxPoolKernels<Bf16>& loops(Bf16) { return kernels().pool_bf16; }

class MaxPool : public torch::autograd::Function<MaxPool> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input) {
    const Tensor x = input.contiguous(torch::MemoryFormat::ChannelsLast);
    const auto n = x.size(0), c = x.size(1), height = x.size(2), width = x.size(3);
    const auto options = x.options().memory_format(torch::MemoryFormat::ChannelsLast);
    const Tensor y = torch::empty({n, c, height / 2, width / 2}, options);
    const Tensor which = torch::empty(y.sizes(), options.dtype(torch::kUInt8));
    context->save_for_backward({which});
    context->saved_data["height"] = height;
    context->saved_data["width"] = width;
    if (!x.is_cpu()) {
      gpu_layers()->max_pool(read<void>(x), write<void>(y), write<std::uint8_t>(which), *GpuCall(x));
      return y;
    }
    with_element(x, [&]<class Element>(Element element) {
      const Element* from = read<Element>(x);
      Element* to = write<Element>(y);
      auto* places = which.mutable_data_ptr<std::uint8_t>();
      at::parallel_for(0, n, 1, [&](std::int64_t first, std::int64_t last) {
        const std::int64_t pooled = first * (y.numel() / n);
        loops(element).forward(from + first * (x.numel() / n), last - first, height, width, c, to + pooled,
                               places + pooled);
      });
    });
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& outputs) {
    const Tensor which = context->get_saved_variables()[0];
    const Tensor dy = outputs[0].contiguous(torch::MemoryFormat::ChannelsLast);
    const auto n = dy.size(0), c = dy.size(1);
    const auto height = context->saved_data["height"].toInt(), width = context->saved_data["width"].toInt();
    const Tensor dx =
        torch::empty({n, c, height, width}, dy.options().memory_format(torch::MemoryFormat::ChannelsLast));
    if (!dy.is_cpu()) {
      gpu_layers()->max_pool_backward(read<void>(dy), read<std::uint8_t>(which), write<void>(dx),
                                      *GpuCall(dx));
      return {dx};
    }
    with_element(dy, [&]<class Element>(Element element) {
      const Element* from = read<Element>(dy);
      const auto* places = which.const_data_ptr<std::uint8_t>();
      Element* to = write<Element>(dx);
      at::parallel_for(0, n, 1, [&](std::int64_t first, std::int64_t last) {
        const std::int64_t pooled = first * (dy.numel() / n);
        loops(element).backward(from + pooled, places + pooled, last - first, height, width, c,
                                to + first * (dx.numel() / n));
      });
    });
    return {dx};
  }
};

}  // namespace

Tensor max_pool_2x2(const Tensor& x) {
  const auto type = x.scalar_type();
  const bool there = x.is_cpu() || (x.is_cuda() && gpu_layers() != nullptr);
  const bool taken = there && x.dim() == 4 && x.numel() > 0 && x.size(2) > 1 && x.size(3) > 1 &&
                     (type == torch::kFloat32 || type == torch::kFloat64 || type == torch::kBFloat16) &&
                     x.is_contiguous(torch::MemoryFormat::ChannelsLast);
  return taken ? MaxPool::apply(x) : torch::max_pool2d(x, 2);
}

}  // namespace muster::workloads
