#include "workloads/common/layers/gelu.hpp"

#include <ATen/Parallel.h>

#include "workloads/common/layers/elements.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

constexpr std::int64_t kGrain = 32768;

class Gelu : public torch::autograd::Function<Gelu> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x) {
    const Tensor y = torch::empty_like(x);
    at::parallel_for(0, x.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
      kernels().gelu_bf16.forward(read<Bf16>(x) + first, last - first, write<Bf16>(y) + first);
    });
    context->save_for_backward({x});
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& outputs) {
    const Tensor x = context->get_saved_variables()[0];
    const Tensor dx = torch::empty_like(x);
    const bool alike = outputs[0].strides() == x.strides();
    const Tensor dy = alike ? outputs[0] : torch::empty_like(x).copy_(outputs[0]);
    at::parallel_for(0, x.numel(), kGrain, [&](std::int64_t first, std::int64_t last) {
      kernels().gelu_bf16.backward(read<Bf16>(x) + first, read<Bf16>(dy) + first, last - first,
                                   write<Bf16>(dx) + first);
    });
    return {dx};
  }
};

}  // namespace

Tensor exact_gelu(const Tensor& x) {
  const bool taken = x.is_cpu() && x.scalar_type() == torch::kBFloat16 && x.is_non_overlapping_and_dense();
  return taken ? Gelu::apply(x) : torch::gelu(x);
}

}  // namespace muster::workloads
