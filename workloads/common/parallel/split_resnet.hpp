#pragma once
/// ResNet-18 and -34 whose blocks are split by channel over the ranks of a group.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "workloads/common/models/resnet.hpp"
#include "workloads/common/parallel/split_layers.hpp"

namespace muster::workloads {

/// ResidualBlock with conv1 and bn1 split by output channel, conv2 by input channel; bn2 and the projection
/// whole on every rank. The sum after conv2 travels while the projection is computed, that of the input's
/// gradient while conv1's weight gradient is. Parameters bear ResidualBlock's names.
class SplitBlock : public ResidualUnit {
 public:
  SplitBlock(std::int64_t in, std::int64_t width, std::int64_t stride, const RankGroup& group);
  torch::Tensor forward(const torch::Tensor& x) override;

  SumCost& forward_cost() { return conv2_->forward_cost(); }
  SumCost& backward_cost() { return conv1_->backward_cost(); }
  BatchNorm& norm_after_sum() { return bn2_; }

 private:
  ColumnSplitConvolution conv1_;
  BatchNorm bn1_;
  RowSplitConvolution conv2_;
  BatchNorm bn2_;
  Convolution projection_{nullptr};
  BatchNorm projection_norm_{nullptr};
};

/// This rank's part of the network that make_network gives for the same options; weights are left at zero.
/// The group must outlive it. All ranks see the same images. With a group that sums, outputs, gradients and
/// statistics equal the whole network's to rounding, and what every rank holds whole stays bitwise the same
/// on all. Throws Error(config) for another network than a ResNet of two-convolution blocks.
std::shared_ptr<Network> make_split_resnet(const NetworkOptions& options, const RankGroup& group);

/// The blocks and their names ("layer1.0"), in order.
std::vector<std::pair<std::string, SplitBlock*>> split_blocks(torch::nn::Module& network);

}  // namespace muster::workloads
