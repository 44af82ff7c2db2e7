#include "workloads/common/models/feature_network.hpp"

#include "core/error.hpp"

namespace muster::workloads {

const std::vector<std::string>& feature_network_names() {
  static const std::vector<std::string> names{
      "densenet",      "resnet",      "improved_wide_resnet",      "resnext",
      "densenet_slim", "resnet_slim", "improved_wide_resnet_slim", "resnext_slim"};
  return names;
}

std::shared_ptr<FeatureNetwork> make_feature_network(const NetworkOptions& options, std::uint64_t seed) {
  auto network = std::dynamic_pointer_cast<FeatureNetwork>(make_network(options, seed));
  if (network) return network;
  throw Error(
      ExitCode::config,
      "'" + options.name + "' cannot be an expert (its classifier is not one linear layer on features)",
      "use a densenet, resnet, improved_wide_resnet or resnext, or its _slim variant");
}

}  // namespace muster::workloads
