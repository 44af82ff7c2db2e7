#include "workloads/tensor_parallel/parameters.hpp"

#include "core/error.hpp"
#include "workloads/common/parameter_specs.hpp"
#include "workloads/common/weights_loading.hpp"

namespace muster::workloads {

WorkloadSchema tensor_parallel_schema() {
  WorkloadSchema schema;
  schema.name = "tensor_parallel";
  schema.parameters = image_parameter_specs();
  const std::vector<std::string> networks{"resnet18", "resnet34", "imagenet_resnet18", "imagenet_resnet34"};
  for (ParameterSpec& spec : schema.parameters) {
    if (spec.name == "network")
      spec = choice("network", "resnet18",
                    "which network; imagenet_* have torchvision's stem, for image_side = 224", networks);
  }
  ParameterSpec pretrained{.name = "pretrained", .type = ParameterType::string, .default_value = "none"};
  pretrained.help =
      "weights to start from: a .safetensors, .pth, .pt or .th, or a checkpoint's shared.safetensors; "
      "'none': drawn "
      "from the seed";
  pretrained.choices = {"none"};
  pretrained.is_data_path = true;
  ParameterSpec may_differ{
      .name = "pretrained_may_differ", .type = ParameterType::list, .default_value = Value::List{}};
  may_differ.help =
      "parameters that may have another shape in the file and then keep the seed's draws, with * for any "
      "characters";
  for (ParameterSpec& spec : std::vector<ParameterSpec>{
           choice("mode", "exact", "sums inside the blocks, or the source's rounds without them",
                  {"exact", "federated"}),
           integer("tp", 0, "ranks", "that hold one network together, in exact mode; 0: all"),
           integer("round_epochs", 1, "epochs", "of a federated round", 1),
           flag("rebalance", false, "federated: re-estimate bn2's statistics once slices are concatenated"),
           integer("rebalance_images", 256, "images", "to re-estimate on", 1), pretrained, may_differ}) {
    schema.parameters.push_back(std::move(spec));
  }
  return schema;
}

TensorParallelOptions read_tensor_parallel_options(const Task& task) {
  const Parameters& values = task.parameters;
  TensorParallelOptions options;
  options.federated = values.at("mode").as_string() == "federated";
  options.ranks_per_network = static_cast<int>(values.at("tp").as_int());
  options.round_epochs = values.at("round_epochs").as_int();
  options.rebalance = values.at("rebalance").as_bool();
  options.rebalance_images = values.at("rebalance_images").as_int();
  options.pretrained = values.at("pretrained").as_string();
  options.pretrained_may_differ = texts_of(values.at("pretrained_may_differ"), "pretrained_may_differ");
  if (options.pretrained.empty())
    throw Error(ExitCode::config, "pretrained is empty", "give a weights file, or \"none\"");
  if (options.federated && options.ranks_per_network != 0)
    throw Error(ExitCode::config, "tp is for mode = \"exact\"",
                "remove it: federated rounds split over all ranks");
  if (!options.federated && options.rebalance)
    throw Error(ExitCode::config, "rebalance is for mode = \"federated\"",
                "remove it: exact ranks never see partial statistics");
  return options;
}

std::shared_ptr<Network> whole_start(const NetworkOptions& network, const ImageParameters& parameters,
                                     const TensorParallelOptions& options, std::string& log) {
  auto whole = make_network(network, parameters.seed);
  whole->to(parameters.precision.parameters);
  if (options.pretrained == "none") return whole;
  const WeightsFile file(options.pretrained);
  MatchingRules rules;
  rules.may_differ = options.pretrained_may_differ;
  rules.may_be_unused = {"momentum.*"};  // Of a checkpoint.
  log = options.pretrained + ": " + load_weights(*whole, file, rules).summary();
  return whole;
}

}  // namespace muster::workloads
