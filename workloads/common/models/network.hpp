#pragma once
/// The networks for images of CIFAR's shape, by name.

#include <torch/torch.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "workloads/common/data/image_set.hpp"
#include "workloads/common/layers/batch_norm.hpp"

namespace muster::workloads {

/// Maps images [n, 3, 32, 32], best channels-last, to logits [n, classes] in the parameters' type. The
/// images' type decides in what the network computes: bfloat16 images and fp32 parameters make mixed
/// precision, without autocast.
class Network : public torch::nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& images) = 0;
  /// From PyTorch's default draws to the network's own, where it has others.
  virtual void adjust_first_weights() {}
  /// Before a training's first step, for networks whose fixed weights come from the training images;
  /// `statistics` normalise them.
  virtual void fit_to(const ImageSet& /*train*/, const ChannelStatistics& /*statistics*/) {}
  /// Before a training pass: which samples it sees, in order, for networks that draw by them.
  virtual void begin_batch(std::span<const std::int64_t> /*samples*/, std::int64_t /*epoch*/) {}
  /// After a backward pass: makes undefined the gradients of what this epoch, counted from 0, no longer
  /// trains.
  virtual void drop_gradients(std::int64_t /*epoch*/) {}
};

struct NetworkOptions {
  std::string name = "resnet9";
  std::int64_t classes = 10;
  double width = 1;             ///< times the channels of every layer, rounded to a multiple of 8, at least 8
  std::int64_t image_side = 0;  ///< pixels to which a ResNet resizes images first, bilinearly; 0: as they are
  BatchNormFunction batch_norm;  ///< of every batch-normalisation layer in training; empty: local
};

/// Names that make_network knows: "resnet9", "resnet18", "resnet34", "resnet50", "plain9" (ResNet-9 without
/// batch normalisation), "alexnet", "cnn" (the small one of Keras' example), the CIFAR family "resnet20",
/// "resnet32", "resnet44", "resnet56", the fast "airbench94" (see airbench94.hpp), with torchvision's stem
/// for ImageNet "imagenet_resnet18" and "imagenet_resnet34", which are meant for an image_side of 224, and
/// the experts' (see feature_network.hpp).
const std::vector<std::string>& network_names();

/// fp32 on the CPU, in training mode, weights drawn from the seed. Throws Error(config) for an unknown name
/// or a width that is not positive.
std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed);

}  // namespace muster::workloads
