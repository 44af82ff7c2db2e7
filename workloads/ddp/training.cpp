#include "workloads/ddp/training.hpp"

#include "workloads/common/image_training/gradient_strategy.hpp"
#include "workloads/common/image_training/training.hpp"

namespace muster::workloads {

WorkloadSchema ddp_schema() {
  WorkloadSchema schema;
  schema.name = "ddp";
  schema.parameters = image_parameter_specs();
  for (ParameterSpec& more : recipe_parameter_specs()) schema.parameters.push_back(std::move(more));
  for (ParameterSpec& more : gradient_parameter_specs()) schema.parameters.push_back(std::move(more));
  return schema;
}

Outcome train_ddp(Context& context) {
  ImageParameters parameters = read_image_parameters(context.task());
  read_recipe(context.task(), parameters);
  require_even_batch(parameters, context.communicator().size());
  GradientStrategy strategy(read_gradient_options(context.task(), parameters));
  return ImageTraining(context, parameters, strategy).run();
}

}  // namespace muster::workloads
