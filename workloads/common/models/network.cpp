#include "workloads/common/models/network.hpp"

#include "core/error.hpp"
#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/airbench94.hpp"
#include "workloads/common/models/alexnet.hpp"
#include "workloads/common/models/cifar_resnet.hpp"
#include "workloads/common/models/cnn.hpp"
#include "workloads/common/models/densenet.hpp"
#include "workloads/common/models/feature_network.hpp"
#include "workloads/common/models/resnet.hpp"
#include "workloads/common/models/resnet9.hpp"
#include "workloads/common/models/resnext.hpp"
#include "workloads/common/models/wide_resnet.hpp"

namespace muster::workloads {
namespace {

constexpr std::pair<const char*, int> kCifarResNets[] = {
    {"resnet20", 3}, {"resnet32", 5}, {"resnet44", 7}, {"resnet56", 9}};  // blocks a stage

std::shared_ptr<Network> build(const NetworkOptions& options, std::uint64_t seed) {
  const auto& name = options.name;
  if (name == "resnet9")
    return std::make_shared<ResNet9>(options.classes, options.width, true, options.batch_norm);
  if (name == "plain9")
    return std::make_shared<ResNet9>(options.classes, options.width, false, options.batch_norm);
  if (name == "airbench94")
    return std::make_shared<Airbench94>(options.classes, options.width, options.batch_norm);
  if (name == "alexnet") return std::make_shared<AlexNet>(options.classes, options.width, options.batch_norm);
  if (name == "cnn") return std::make_shared<Cnn>(options.classes, options.width, seed);
  if (const auto shape = resnet_shape(name)) return std::make_shared<ResNet>(*shape, options);
  if (const auto shape = densenet_shape(name)) return std::make_shared<DenseNet>(*shape, options);
  if (const auto shape = wide_resnet_shape(name)) return std::make_shared<WideResNet>(*shape, options);
  if (const auto shape = resnext_shape(name)) return std::make_shared<ResNeXt>(*shape, options);
  for (const auto& [cifar_name, blocks] : kCifarResNets) {
    if (name == cifar_name)
      return std::make_shared<CifarResNet>(blocks, options.classes, options.width, options.batch_norm);
  }
  throw Error(ExitCode::config, "no network is called '" + name + "'",
              "use one of those that the manifest lists");
}

}  // namespace

const std::vector<std::string>& network_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all{"resnet9",  "resnet18",  "resnet34",          "resnet50",
                                 "plain9",   "alexnet",   "resnet20",          "resnet32",
                                 "resnet44", "resnet56",  "imagenet_resnet18", "imagenet_resnet34",
                                 "cnn",      "airbench94"};
    all.insert(all.end(), feature_network_names().begin(), feature_network_names().end());
    return all;
  }();
  return names;
}

std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed) {
  if (!(options.width > 0) || options.classes < 1) {
    throw Error(ExitCode::config, "a network needs a width above 0 and at least one class",
                "width = 1 is the published network");
  }
  auto network = build(options, seed);
  initialise(*network, seed);
  network->adjust_first_weights();
  return network;
}

}  // namespace muster::workloads
