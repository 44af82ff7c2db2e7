#include "workloads/weight_averaging/training.hpp"

#include "workloads/common/image_training/training.hpp"
#include "workloads/weight_averaging/averaging_strategy.hpp"

namespace muster::workloads {

Outcome train_by_averaging(Context& context) {
  const ImageParameters parameters = read_training_parameters(context.task(), context.communicator().size());
  AveragingStrategy strategy(read_averaging_options(context.task()), parameters.split);
  return ImageTraining(context, parameters, strategy).run();
}

}  // namespace muster::workloads
