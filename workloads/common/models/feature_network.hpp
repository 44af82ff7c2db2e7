#pragma once
/// Networks that are a backbone and one linear layer: what experts are, and what their fusion is made from.

#include <memory>
#include <string>
#include <vector>

#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {

/// forward(images) is head()(features(images)). The head's parameters are "fc.weight" [classes, d] and
/// "fc.bias" [classes]; all others, and the running statistics, are the backbone's.
class FeatureNetwork : public Network {
 public:
  /// The last layer's channels, each averaged over the image: [n, d] of images [n, 3, 32, 32], in the images'
  /// type.
  virtual torch::Tensor features(const torch::Tensor& images) = 0;
  torch::Tensor forward(const torch::Tensor& images) final { return fc_(features(images)); }

  /// d.
  std::int64_t feature_width() const { return fc_->weight.size(1); }
  Classifier& head() { return fc_; }

 protected:
  /// For the constructors, after the backbone.
  void add_head(std::int64_t feature_width, std::int64_t classes) {
    fc_ = register_module("fc", Classifier(feature_width, classes, true));
  }

 private:
  Classifier fc_{nullptr};
};

/// The experts' networks, all known to make_network too: "densenet" (DenseNet-121, d = 1024), "resnet"
/// (ResNet-18, 512), "improved_wide_resnet" (WRN-28-10, 640), "resnext" (ResNeXt-29 8x64d, 1024), and of each
/// a
/// "_slim" variant with fewer and thinner layers for small machines.
const std::vector<std::string>& feature_network_names();

/// As make_network. Throws Error(config) for a network without such features, too.
std::shared_ptr<FeatureNetwork> make_feature_network(const NetworkOptions& options, std::uint64_t seed);

}  // namespace muster::workloads
