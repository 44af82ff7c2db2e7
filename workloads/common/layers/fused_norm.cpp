#include "workloads/common/layers/fused_norm.hpp"

#include <optional>

#include "core/error.hpp"
#include "workloads/common/layers/norm_arithmetic.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

const NormArithmetic& arithmetic_of(const Tensor& x) { return x.is_cpu() ? norm_on_cpu() : *norm_on_gpu(); }

class FusedNorm : public torch::autograd::Function<FusedNorm> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& input, const Tensor& weight,
                        const Tensor& bias, const std::optional<Tensor>& skip, const Tensor& running_mean,
                        const Tensor& running_var, std::int64_t after_number,
                        const BatchNormOptions& options) {
    const auto after = static_cast<AfterNorm>(after_number);
    const Tensor x = input.contiguous(torch::MemoryFormat::ChannelsLast);
    const Tensor added = skip ? skip->contiguous(torch::MemoryFormat::ChannelsLast) : Tensor();
    const NormArithmetic& arithmetic = arithmetic_of(x);
    const BatchMoments batch = arithmetic.of_batch(x, weight, bias, running_mean, running_var, options);
    const Tensor y = arithmetic.apply(x, added, batch.map, after);
    context->save_for_backward({x, added.defined() ? y : Tensor(), weight, batch.moments, batch.map});
    context->saved_data["after"] = after_number;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& outputs) {
    const auto saved = context->get_saved_variables();
    const Tensor dy = outputs[0].contiguous(torch::MemoryFormat::ChannelsLast);
    const auto after = static_cast<AfterNorm>(context->saved_data["after"].toInt());
    const NormGradients result =
        arithmetic_of(dy).gradients(saved[0], saved[1], dy, saved[2], {saved[3], saved[4]}, after);
    return {result.x, result.weight, result.bias, result.skip, Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

bool fused_norm_takes(const Tensor& input, AfterNorm after) {
  const auto type = input.scalar_type();
  if (input.dim() != 4 || (type != torch::kFloat32 && type != torch::kFloat64 && type != torch::kBFloat16))
    return false;
  if (after == AfterNorm::relu_pool && (input.size(2) % 2 != 0 || input.size(3) % 2 != 0)) return false;
  if (input.is_cpu()) return after != AfterNorm::gelu;
  // Of a network that is not channels-last, a copy would cost what is won.
  return input.is_cuda() && input.is_contiguous(torch::MemoryFormat::ChannelsLast) &&
         norm_on_gpu() != nullptr;
}

Tensor fused_norm(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& running_mean,
                  const Tensor& running_var, AfterNorm after, const Tensor& skip,
                  const BatchNormOptions& options) {
  MUSTER_ASSERT(!skip.defined() || after == AfterNorm::relu);
  // autograd takes no undefined tensor for an argument, but an empty optional.
  const std::optional<Tensor> added = skip.defined() ? std::optional(skip) : std::nullopt;
  return FusedNorm::apply(input, weight, bias, added, running_mean, running_var,
                          static_cast<std::int64_t>(after), options);
}

Tensor fused_norm_evaluation(const Tensor& input, const Tensor& weight, const Tensor& bias,
                             const Tensor& running_mean, const Tensor& running_var, AfterNorm after,
                             const Tensor& skip, double epsilon) {
  const Tensor x = input.contiguous(torch::MemoryFormat::ChannelsLast);
  const Tensor added = skip.defined() ? skip.contiguous(torch::MemoryFormat::ChannelsLast) : skip;
  const Tensor scale = weight.to(torch::kFloat64) * torch::rsqrt(running_var.to(torch::kFloat64) + epsilon);
  const Tensor shift = bias.to(torch::kFloat64) - running_mean.to(torch::kFloat64) * scale;
  return arithmetic_of(x).apply(x, added, torch::stack({scale, shift}).to(weight.scalar_type()), after);
}

}  // namespace muster::workloads
