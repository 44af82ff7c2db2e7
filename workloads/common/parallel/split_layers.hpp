#pragma once
/// Layers of which every rank of a group holds a part (Shoeybi et al. 2019). A column-split layer takes its
/// input whole and gives this rank's output channels; a row-split one takes this rank's input channels and
/// gives a partial result, which summed over the ranks is the whole one. One after the other they need one
/// sum forward and one backward. Batch normalisation between them is an ordinary BatchNorm of this rank's
/// channels, since it treats each channel apart; behind the sum it is an ordinary one of all channels, the
/// same on every rank.
///
/// The group must outlive the layers and their backward passes.

#include <torch/torch.h>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/parallel/rank_group.hpp"

namespace muster::workloads {

/// `weight` [part of out, in, kernel, kernel]: `in` channels whole to this rank's part of `out`. The input's
/// gradient is summed over the ranks while the weight's is computed.
class ColumnSplitConvolutionImpl : public torch::nn::Module {
 public:
  ColumnSplitConvolutionImpl(std::int64_t in, std::int64_t out, ConvolutionOptions options,
                             const RankGroup& group);
  torch::Tensor forward(const torch::Tensor& input);

  SumCost& backward_cost() { return backward_cost_; }

 private:
  Convolution whole_input_;
  SumCost backward_cost_;
};
TORCH_MODULE(ColumnSplitConvolution);

/// A row-split layer's result before and after its sum.
class PartialResult {
 public:
  PartialResult(const torch::Tensor& partial, const RankGroup& group, SumCost* cost)
      : value_(partial.dim() == 4 ? partial.contiguous(torch::MemoryFormat::ChannelsLast)
                                  : partial.contiguous()),
        sum_(group.sum_in_place(value_.detach(), cost)) {}
  /// Waits for the sum. The gradient of the partial result is that of the whole: the identity.
  const torch::Tensor& whole() {
    sum_.wait();
    return value_;
  }

 private:
  torch::Tensor value_;
  RankSum sum_;
};

/// `weight` [out, part of in, kernel, kernel].
class RowSplitConvolutionImpl : public torch::nn::Module {
 public:
  RowSplitConvolutionImpl(std::int64_t in, std::int64_t out, ConvolutionOptions options,
                          const RankGroup& group);
  /// Starts the sum; what does not depend on it can be computed before PartialResult::whole().
  PartialResult begin(const torch::Tensor& input);
  torch::Tensor forward(const torch::Tensor& input) { return begin(input).whole(); }

  SumCost& forward_cost() { return forward_cost_; }

 private:
  const RankGroup& group_;
  Convolution own_input_;
  SumCost forward_cost_;
};
TORCH_MODULE(RowSplitConvolution);

/// `weight` [part of out, in], `bias` [part of out].
class ColumnSplitLinearImpl : public torch::nn::Module {
 public:
  ColumnSplitLinearImpl(std::int64_t in, std::int64_t out, const RankGroup& group);
  torch::Tensor forward(const torch::Tensor& input);

  torch::Tensor weight, bias;

 private:
  const RankGroup& group_;
};
TORCH_MODULE(ColumnSplitLinear);

/// `weight` [out, part of in]; `bias` [out], whole, is added once to the sum.
class RowSplitLinearImpl : public torch::nn::Module {
 public:
  RowSplitLinearImpl(std::int64_t in, std::int64_t out, const RankGroup& group);
  torch::Tensor forward(const torch::Tensor& input);

  torch::Tensor weight, bias;

 private:
  const RankGroup& group_;
};
TORCH_MODULE(RowSplitLinear);

}  // namespace muster::workloads
