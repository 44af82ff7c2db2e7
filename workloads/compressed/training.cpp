#include "workloads/compressed/training.hpp"

#include "workloads/common/image_training/gradient_strategy.hpp"
#include "workloads/common/image_training/training.hpp"
#include "workloads/common/parameter_specs.hpp"

namespace muster::workloads {
namespace {

/// The last batch normalisation of each residual branch.
std::vector<torch::Tensor> ends_of_branches(const Network& network) {
  const auto parameters = network.named_parameters();
  std::vector<torch::Tensor> ends;
  for (const auto& item : parameters) {
    const std::string& name = item.key();
    const auto dot = name.find(".bn2.weight");
    const bool last_of_two =
        dot != std::string::npos && !parameters.contains(name.substr(0, dot) + ".bn3.weight");
    if (last_of_two || name.ends_with(".bn3.weight") || name == "residual1b.bn.weight" ||
        name == "residual3b.bn.weight") {
      ends.push_back(item.value());
    }
  }
  return ends;
}

/// Branches that begin as identities (Goyal et al. 2017, section 5.1).
class CompressedStrategy : public GradientStrategy {
 public:
  CompressedStrategy(GradientOptions options, bool init_bn0)
      : GradientStrategy(std::move(options)), init_bn0_(init_bn0) {}

  void begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) override {
    if (init_bn0_ && !checkpoint) {
      const torch::NoGradGuard no_grad;
      for (torch::Tensor& weight : ends_of_branches(parts.network)) weight.zero_();
    }
    GradientStrategy::begin(parts, checkpoint);
  }

 private:
  bool init_bn0_;
};

}  // namespace

WorkloadSchema compressed_schema() {
  WorkloadSchema schema;
  schema.name = "compressed";
  schema.parameters = image_parameter_specs();
  for (ParameterSpec& more : gradient_parameter_specs()) schema.parameters.push_back(std::move(more));
  set_default(schema, "epochs", 24);
  set_default(schema, "batch", 512);
  set_default(schema, "lr", 0.4);
  set_default(schema, "schedule.kind", "piecewise_linear");
  set_default(schema, "schedule.reference_batch", 512);
  set_default(schema, "schedule.knots", Value::List{0.0, 5.0, 24.0});
  set_default(schema, "schedule.shares", Value::List{0.0, 1.0, 0.0});
  set_default(schema, "momentum", 0.0);
  set_default(schema, "augment.cutout", 8);
  set_default(schema, "exchange.algorithm", "ring");
  set_default(schema, "exchange.compressor", "topk");
  schema.parameters.push_back(
      flag("init_bn0", false, "the last batch normalisation of each residual branch begins at zero"));
  schema.parameters.push_back(
      flag("no_bn_weight_decay", false, "no weight decay of batch normalisation's parameters and biases"));
  return schema;
}

Outcome train_compressed(Context& context) {
  const Task& task = context.task();
  ImageParameters parameters = read_image_parameters(task);
  require_even_batch(parameters, context.communicator().size());
  parameters.sgd.decay_vectors = !task.parameters.at("no_bn_weight_decay").as_bool();
  CompressedStrategy strategy(read_gradient_options(task, parameters, true),
                              task.parameters.at("init_bn0").as_bool());
  return ImageTraining(context, parameters, strategy).run();
}

}  // namespace muster::workloads
