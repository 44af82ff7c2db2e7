#include "workloads/common/parallel/split_layers.hpp"

namespace muster::workloads {

using torch::Tensor;

// The convolution's weight is registered under its own name, as a whole layer's is.
ColumnSplitConvolutionImpl::ColumnSplitConvolutionImpl(std::int64_t in, std::int64_t out,
                                                       ConvolutionOptions options, const RankGroup& group)
    : whole_input_(in, group.part_of(out).length, options) {
  register_parameter("weight", whole_input_->weight);
  if (group.size() > 1) {
    whole_input_->set_input_gradient_hook([this, &group](const Tensor& gradient) {
      return [sum = group.sum_in_place(gradient, &backward_cost_)]() mutable { sum.wait(); };
    });
  }
}

Tensor ColumnSplitConvolutionImpl::forward(const Tensor& input) { return whole_input_(input); }

RowSplitConvolutionImpl::RowSplitConvolutionImpl(std::int64_t in, std::int64_t out,
                                                 ConvolutionOptions options, const RankGroup& group)
    : group_(group), own_input_(group.part_of(in).length, out, options) {
  register_parameter("weight", own_input_->weight);
}

PartialResult RowSplitConvolutionImpl::begin(const Tensor& input) {
  return {own_input_(input), group_, &forward_cost_};
}

ColumnSplitLinearImpl::ColumnSplitLinearImpl(std::int64_t in, std::int64_t out, const RankGroup& group)
    : group_(group) {
  const std::int64_t own = group.part_of(out).length;
  weight = register_parameter("weight", torch::zeros({own, in}));
  bias = register_parameter("bias", torch::zeros({own}));
}

Tensor ColumnSplitLinearImpl::forward(const Tensor& input) {
  return torch::linear(take_whole(input, group_), weight, bias);
}

RowSplitLinearImpl::RowSplitLinearImpl(std::int64_t in, std::int64_t out, const RankGroup& group)
    : group_(group) {
  weight = register_parameter("weight", torch::zeros({out, group.part_of(in).length}));
  bias = register_parameter("bias", torch::zeros({out}));
}

Tensor RowSplitLinearImpl::forward(const Tensor& input) {
  return sum_parts(torch::linear(input, weight), group_) + bias;
}

}  // namespace muster::workloads
