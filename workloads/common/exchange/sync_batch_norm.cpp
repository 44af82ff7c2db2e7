#include "workloads/common/exchange/sync_batch_norm.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <vector>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Shape (1, C, 1, ...) that broadcasts over an (N, C, ...) tensor.
at::Tensor per_channel(const at::Tensor& values, const at::Tensor& like) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(like.dim()), 1);
  shape[1] = like.size(1);
  return values.view(shape);
}

struct JointStatistics {
  at::Tensor mean;   ///< fp64, C
  at::Tensor var;    ///< fp64, C, biased
  double count = 0;  ///< samples a channel
};

JointStatistics joint_statistics(Communicator& communicator, const at::Tensor& input,
                                 const at::Tensor& like) {
  const std::int64_t channels = input.size(1);
  const auto own_count = static_cast<double>(input.numel() / channels);
  // Scratch statistics of the parameters' type keep the kernel from rounding to a bf16 input's.
  const at::Tensor scratch_mean = at::zeros_like(like);
  const at::Tensor scratch_var = at::zeros_like(like);
  const auto [own_mean, own_var] = at::batch_norm_update_stats(input, scratch_mean, scratch_var, 0.0);

  const auto fp64 = at::TensorOptions().dtype(at::kDouble);
  const at::Tensor own = at::empty({2 * channels + 1}, fp64);
  own.narrow(0, 0, channels).copy_(own_mean);
  own.narrow(0, channels, channels).copy_(own_var);
  own[2 * channels] = own_count;
  const at::Tensor all = at::empty({communicator.size(), 2 * channels + 1}, fp64);
  communicator.all_gather(own.const_data_ptr(), own.nbytes(), all.mutable_data_ptr())->wait();

  JointStatistics joint;
  joint.mean = at::zeros({channels}, fp64);
  at::Tensor squares = at::zeros({channels}, fp64);
  for (int r = 0; r < communicator.size(); ++r) {
    const auto count = all[r][2 * channels].item<double>();
    if (count == 0) continue;
    const double total = joint.count + count;
    const at::Tensor delta = all[r].narrow(0, 0, channels) - joint.mean;
    joint.mean = joint.mean + delta * (count / total);
    squares = squares + all[r].narrow(0, channels, channels) * count +
              delta * delta * (joint.count * count / total);
    joint.count = total;
  }
  joint.mean = joint.mean.to(input.device());
  joint.var = squares.to(input.device()) / joint.count;
  return joint;
}

struct SyncBatchNorm : torch::autograd::Function<SyncBatchNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& running_mean,
                            const at::Tensor& running_var, Communicator* communicator, double eps,
                            double momentum) {
    const JointStatistics joint = joint_statistics(*communicator, input, weight);
    const at::Tensor mean = joint.mean.to(weight.scalar_type());
    const at::Tensor var = joint.var.to(weight.scalar_type());
    running_mean.mul_(1 - momentum).add_(mean, momentum);
    const double unbiased = joint.count > 1 ? joint.count / (joint.count - 1) : 1;
    running_var.mul_(1 - momentum).add_((joint.var * unbiased).to(weight.scalar_type()), momentum);

    context->save_for_backward({input, weight, mean, var});
    context->saved_data["communicator"] = reinterpret_cast<std::int64_t>(communicator);
    context->saved_data["eps"] = eps;
    context->saved_data["count"] = joint.count;
    return std::get<0>(
        at::native_batch_norm(input, weight, bias, mean, var, /*training=*/false, momentum, eps));
  }

  static variable_list backward(AutogradContext* context, const variable_list& outputs) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &input = saved[0], &weight = saved[1], &mean = saved[2], &var = saved[3];
    auto* communicator = reinterpret_cast<Communicator*>(context->saved_data["communicator"].toInt());
    const double eps = context->saved_data["eps"].toDouble();
    const double count = context->saved_data["count"].toDouble();

    // With the statistics held fixed: dy * weight / std, sum(dy * xhat), sum(dy). What the statistics add
    // follows.
    auto [grad_input, grad_weight, grad_bias] = at::native_batch_norm_backward(
        outputs[0], input, weight, mean, var, {}, {}, /*train=*/false, eps, {true, true, true});

    const std::int64_t channels = input.size(1);
    const at::Tensor sums = at::empty({2 * channels}, at::TensorOptions().dtype(at::kDouble));
    sums.narrow(0, 0, channels).copy_(grad_bias);
    sums.narrow(0, channels, channels).copy_(grad_weight);
    communicator
        ->all_reduce(sums.mutable_data_ptr(), static_cast<std::size_t>(sums.numel()), DType::f64,
                     ReduceOp::sum)
        ->wait();
    const at::Tensor all = sums.to(input.device());

    // dx = weight/std * (dy - mean(dy) - xhat * mean(dy * xhat)), written as grad_input - constant - input *
    // slope.
    const at::Tensor inverse_std = (var.to(at::kDouble) + eps).rsqrt();
    const at::Tensor scale = weight.to(at::kDouble) * inverse_std / count;
    const at::Tensor slope = scale * all.narrow(0, channels, channels) * inverse_std;
    const at::Tensor constant = scale * all.narrow(0, 0, channels) - mean.to(at::kDouble) * slope;
    const auto type = weight.scalar_type();
    grad_input =
        grad_input - (input * per_channel(slope.to(type), input) + per_channel(constant.to(type), input));
    return {grad_input.to(input.scalar_type()), grad_weight, grad_bias, {}, {}, {}, {}, {}};
  }
};

}  // namespace

at::Tensor sync_batch_norm(Communicator& communicator, const at::Tensor& input, const at::Tensor& weight,
                           const at::Tensor& bias, const at::Tensor& running_mean,
                           const at::Tensor& running_var, const SyncBatchNormOptions& options) {
  MUSTER_ASSERT(input.dim() >= 2 && weight.defined() && bias.defined() && running_mean.defined());
  return SyncBatchNorm::apply(input, weight, bias, running_mean, running_var, &communicator, options.eps,
                              options.momentum);
}

}  // namespace muster::workloads
