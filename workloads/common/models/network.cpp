#include "workloads/common/models/network.hpp"

#include "core/error.hpp"
#include "workloads/common/layers/convolution.hpp"
#include "workloads/common/models/cnn.hpp"
#include "workloads/common/models/resnet.hpp"
#include "workloads/common/models/resnet9.hpp"

namespace muster::workloads {
namespace {

std::shared_ptr<Network> build(const NetworkOptions& options, std::uint64_t seed) {
  const auto& name = options.name;
  const auto resnet = [&](const ResNetShape& shape) {
    return std::make_shared<ResNet>(shape, options.classes, options.width, options.batch_norm);
  };
  if (name == "resnet9")
    return std::make_shared<ResNet9>(options.classes, options.width, true, options.batch_norm);
  if (name == "plain9")
    return std::make_shared<ResNet9>(options.classes, options.width, false, options.batch_norm);
  if (name == "resnet18") return resnet({{2, 2, 2, 2}, false});
  if (name == "resnet34") return resnet({{3, 4, 6, 3}, false});
  if (name == "resnet50") return resnet({{3, 4, 6, 3}, true});
  if (name == "cnn") return std::make_shared<Cnn>(options.classes, options.width, seed);
  throw Error(ExitCode::config, "no network is called '" + name + "'",
              "use resnet9, resnet18, resnet34, resnet50, plain9 or cnn");
}

}  // namespace

const std::vector<std::string>& network_names() {
  static const std::vector<std::string> names{"resnet9", "resnet18", "resnet34", "resnet50", "plain9", "cnn"};
  return names;
}

std::shared_ptr<Network> make_network(const NetworkOptions& options, std::uint64_t seed) {
  if (!(options.width > 0) || options.classes < 1) {
    throw Error(ExitCode::config, "a network needs a width above 0 and at least one class",
                "width = 1 is the published network");
  }
  auto network = build(options, seed);
  initialise(*network, seed);
  if (auto* cnn = dynamic_cast<Cnn*>(network.get())) cnn->begin_as_keras();
  return network;
}

}  // namespace muster::workloads
