#include "workloads/common/image_training/rank_strategy.hpp"

#include "workloads/common/training_state.hpp"

namespace muster::workloads {

std::shared_ptr<Network> RankStrategy::network(const NetworkOptions& options,
                                               const ImageParameters& parameters) {
  auto network = make_network(options, parameters.seed);
  network->to(parameters.precision.parameters);
  return network;
}

void RankStrategy::from_file(const NamedTensors& tensors, const SafetensorsFile& file) {
  restore(tensors, file);
}

}  // namespace muster::workloads
