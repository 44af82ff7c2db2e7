#include "workloads/experts/training.hpp"

#include <iterator>
#include <map>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/data/split_folder.hpp"
#include "workloads/common/expert_files.hpp"
#include "workloads/common/image_training/best_weights.hpp"
#include "workloads/common/image_training/gradient_strategy.hpp"
#include "workloads/common/image_training/training.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/parameter_specs.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

/// Keeps the epoch that is best on validation.
class ExpertStrategy : public GradientStrategy {
 public:
  ExpertStrategy(GradientOptions options, Context& context, std::map<std::string, std::string> metadata)
      : GradientStrategy(std::move(options)),
        context_(context),
        best_(context.artifacts() / "expert_best.safetensors", std::move(metadata)) {}

  std::vector<MetricTable> tables() const override {
    std::vector<MetricTable> tables = GradientStrategy::tables();
    tables.push_back({"best",
                      {whole_column("epoch", "1", "counts from 1"),
                       real_column("validation_accuracy", "1", "above that of all epochs before")}});
    return tables;
  }

  void begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) override {
    if (checkpoint && is_first()) best_.restore(*checkpoint, named_tensors(parts.network));
    GradientStrategy::begin(parts, checkpoint);
  }

  void epoch_tested(std::int64_t epoch, const Network& network, const Evaluation& result) override {
    if (is_first() && best_.offer(epoch, result.accuracy(), named_tensors(network)))
      context_.metrics().append("best", {epoch, result.accuracy()});
  }

  StrategyState state() const override {
    StrategyState state = GradientStrategy::state();
    for (auto& tensor : best_.tensors()) state.shared.push_back(std::move(tensor));
    state.metadata.merge(best_.metadata());
    return state;
  }

 private:
  bool is_first() const { return context_.communicator().rank() == 0; }

  Context& context_;
  BestWeights best_;
};

TrainingData expert_data(const ImageParameters& parameters, const std::string& folder, std::int64_t expert) {
  const Dataset all = load_dataset(dataset_options(parameters));
  const Split split = read_split(folder, all);
  if (expert >= std::ssize(split.experts)) {
    throw Error(ExitCode::config,
                "the split '" + folder + "' has no expert " + std::to_string(expert) + " (it is for " +
                    std::to_string(split.experts.size()) + ", counted from 0)",
                "choose another, or make a split for more experts");
  }
  TrainingData data{
      .data = all,
      .statistics = parameters.imagenet_statistics ? kImageNetStatistics : statistics_of(split, all.train),
      .tested_on = "validation"};
  data.data.train = images_of(all.train, split.experts[static_cast<std::size_t>(expert)]);
  data.data.test = images_of(all.train, split.validation);
  return data;
}

}  // namespace

WorkloadSchema experts_schema() {
  WorkloadSchema schema;
  schema.name = "experts";
  schema.parameters = {data_path("split", "the folder that the split workload wrote: its artifacts"),
                       integer("expert", 0, "1", "which part of the split, counted from 0"),
                       choice("optimiser", "adamw",
                              "AdamW (betas 0.9 and 0.999), or SGD, whose momentum and nesterov count then",
                              {"adamw", "sgd"})};
  const auto add = [&](std::vector<ParameterSpec> specs) {
    for (ParameterSpec& spec : specs) schema.parameters.push_back(std::move(spec));
  };
  add(image_parameter_specs());
  add(mixing_parameter_specs({.mixup = 0.2, .cutmix = 1.0}));
  add(gradient_parameter_specs());
  set_default(schema, "epochs", 100);
  set_default(schema, "lr", 1e-3);
  set_default(schema, "schedule.kind", "cosine");
  set_default(schema, "weight_decay", 1e-4);
  set_default(schema, "label_smoothing", 0.1);
  return schema;
}

Outcome train_expert(Context& context) {
  compute_device(context.device());
  const Task& task = context.task();
  ImageParameters parameters = read_image_parameters(task);
  require_even_batch(parameters, context.communicator().size());
  parameters.mixing = read_mixing(task.parameters);
  GradientOptions options = read_gradient_options(task, parameters);
  if (task.parameters.at("optimiser").as_string() == "adamw") {
    if (task.parameters.at("exchange.momentum_correction").as_bool())
      throw Error(ExitCode::config, "momentum correction is of SGD's momentum, and the optimiser is adamw",
                  "leave exchange.momentum_correction out, or give optimiser = \"sgd\"");
    parameters.adamw = AdamWOptions{.weight_decay = parameters.sgd.weight_decay};
  }
  const std::int64_t expert = task.parameters.at("expert").as_int();
  TrainingData data = expert_data(parameters, task.parameters.at("split").as_string(), expert);
  auto metadata = expert_metadata({.path = {},
                                   .network = parameters.network,
                                   .width = parameters.width,
                                   .image_side = parameters.image_side,
                                   .statistics = data.statistics},
                                  data.data.classes);
  metadata["expert"] = std::to_string(expert);
  metadata["data"] = data.data.name;
  ExpertStrategy strategy(std::move(options), context, std::move(metadata));
  return ImageTraining(context, parameters, strategy, std::move(data)).run();
}

}  // namespace muster::workloads
