#include "workloads/common/image_training/rank_strategy.hpp"

#include "workloads/common/training_state.hpp"

namespace muster::workloads {

TensorCollectives collectives_of(const TrainingParts& parts) {
  const bool on_gpu = !parts.network.parameters().front().is_cpu();
  return {parts.context.communicator(), on_gpu ? parts.context.device_communicator() : nullptr};
}

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
