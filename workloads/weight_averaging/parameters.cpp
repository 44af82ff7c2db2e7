#include "workloads/weight_averaging/parameters.hpp"

#include "core/error.hpp"
#include "workloads/common/image_training/gradient_strategy.hpp"
#include "workloads/common/parameter_specs.hpp"

namespace muster::workloads {
WorkloadSchema weight_averaging_schema() {
  const AveragingOptions usual;
  WorkloadSchema schema;
  schema.name = "weight_averaging";
  schema.parameters = image_parameter_specs();
  set_default(schema, "network", "cnn");
  set_default(schema, "epochs", 12);
  set_default(schema, "batch", 64);
  set_default(schema, "lr", 0.02);
  set_default(schema, "schedule.kind", "cosine");
  set_default(schema, "schedule.warmup_epochs", 1.0);
  const std::vector<ParameterSpec> own{
      integer("average.period", usual.period, "steps", "local steps between averages; 0: an epoch"),
      number("average.switch_epoch", usual.switch_epoch, "epochs",
             "until then averages follow every step (post-local SGD)"),
      flag("average.momentum", usual.average_momentum,
           "average the momentum buffers too, at twice the bytes"),
      number("outer.lr", usual.outer_lr, "1", "share of the way to the average that is gone"),
      number("outer.momentum", usual.outer_momentum, "1", "of the steps from average to average", 0, 1),
      flag("outer.nesterov", usual.outer_nesterov, "Nesterov's form of outer.momentum"),
      integer(
          "bn.batches", usual.norm_batches, "batches",
          "a rank's, to estimate batch-normalisation statistics of the average anew; 0: average the ranks'"),
      numbers("split.shares", {}, "1", "share of the samples of each rank, in rank order; none: even"),
      flag("split.fixed", false, "each rank sees its own part of the images alone; else epochs split anew"),
      algorithm_spec("ring", "how weights travel"),
  };
  schema.parameters.insert(schema.parameters.end(), own.begin(), own.end());
  return schema;
}

ImageParameters read_training_parameters(const Task& task, int ranks) {
  ImageParameters p = read_image_parameters(task);
  std::vector<double> shares = list_of(task.parameters.at("split.shares"), "split.shares");
  if (shares.empty()) shares.assign(static_cast<std::size_t>(ranks), 1.0);
  if (shares.size() != static_cast<std::size_t>(ranks)) {
    throw Error(ExitCode::config,
                "split.shares has " + std::to_string(shares.size()) + " entries for " +
                    std::to_string(ranks) + " ranks (each is a rank's share of the samples)",
                "give one share a rank, or none for an even split");
  }
  p.split = split_by_shares(p.batch, shares);
  p.split.fixed = task.parameters.at("split.fixed").as_bool();
  return p;
}

AveragingOptions read_averaging_options(const Task& task) {
  const Parameters& values = task.parameters;
  return {.period = values.at("average.period").as_int(),
          .switch_epoch = values.at("average.switch_epoch").as_float(),
          .average_momentum = values.at("average.momentum").as_bool(),
          .outer_lr = values.at("outer.lr").as_float(),
          .outer_momentum = values.at("outer.momentum").as_float(),
          .outer_nesterov = values.at("outer.nesterov").as_bool(),
          .norm_batches = values.at("bn.batches").as_int(),
          .algorithm = algorithm_of(values.at("exchange.algorithm").as_string())};
}

}  // namespace muster::workloads
