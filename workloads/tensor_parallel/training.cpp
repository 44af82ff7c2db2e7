#include "workloads/tensor_parallel/training.hpp"

#include "workloads/common/compute_device.hpp"
#include "workloads/common/image_training/training.hpp"
#include "workloads/tensor_parallel/exact_strategy.hpp"
#include "workloads/tensor_parallel/federated_strategy.hpp"

namespace muster::workloads {

Outcome train_tensor_parallel(Context& context) {
  const ImageParameters parameters = read_image_parameters(context.task());
  const TensorParallelOptions options = read_tensor_parallel_options(context.task());
  const int ranks = context.communicator().size();
  const bool on_gpu = !compute_device(context.device()).is_cpu();
  DeviceCommunicator* gpus = on_gpu ? context.device_communicator() : nullptr;
  if (options.federated) {
    require_even_batch(parameters, ranks);
    FederatedStrategy strategy(options, gpus);
    return ImageTraining(context, parameters, strategy).run();
  }
  if (options.ranks_per_network > 0)
    require_even_batch(parameters, std::max(1, ranks / options.ranks_per_network));
  ExactStrategy strategy(options, gpus);
  return ImageTraining(context, parameters, strategy).run();
}

}  // namespace muster::workloads
