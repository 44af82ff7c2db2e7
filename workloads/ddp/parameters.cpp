#include "workloads/ddp/parameters.hpp"

#include <utility>

#include "core/error.hpp"
#include "workloads/common/models/network.hpp"

namespace muster::workloads {
namespace {

[[noreturn]] void refuse(const std::string& problem, const std::string& advice) {
  throw Error(ExitCode::config, problem, advice);
}

const std::vector<std::pair<std::string, ExchangeAlgorithm>>& algorithms() {
  static const std::vector<std::pair<std::string, ExchangeAlgorithm>> known{
      {"library", ExchangeAlgorithm::library},
      {"ring", ExchangeAlgorithm::ring},
      {"tree", ExchangeAlgorithm::tree},
      {"parameter_server", ExchangeAlgorithm::parameter_server}};
  return known;
}

std::vector<std::string> algorithm_names() {
  std::vector<std::string> names;
  for (const auto& [name, algorithm] : algorithms()) names.push_back(name);
  return names;
}

ExchangeAlgorithm algorithm_of(const std::string& given) {
  for (const auto& [name, algorithm] : algorithms()) {
    if (name == given) return algorithm;
  }
  refuse("'" + given + "' is no exchange algorithm", "use library, ring, tree or parameter_server");
}

ParameterSpec number(const char* name, double value, const char* unit, const char* help,
                     std::optional<double> minimum = 0, std::optional<double> maximum = std::nullopt) {
  return {.name = name,
          .type = ParameterType::floating,
          .default_value = value,
          .unit = unit,
          .help = help,
          .minimum = minimum,
          .maximum = maximum};
}

ParameterSpec integer(const char* name, std::int64_t value, const char* unit, const char* help,
                      double minimum = 0) {
  return {.name = name,
          .type = ParameterType::integer,
          .default_value = value,
          .unit = unit,
          .help = help,
          .minimum = minimum};
}

ParameterSpec flag(const char* name, bool value, const char* help) {
  return {.name = name, .type = ParameterType::boolean, .default_value = value, .help = help};
}

ParameterSpec choice(const char* name, const char* value, const char* help,
                     std::vector<std::string> choices) {
  return {.name = name,
          .type = ParameterType::string,
          .default_value = value,
          .help = help,
          .choices = std::move(choices)};
}

ParameterSpec numbers(const char* name, Value::List value, const char* unit, const char* help) {
  return {.name = name,
          .type = ParameterType::list,
          .default_value = std::move(value),
          .unit = unit,
          .help = help};
}

std::vector<double> list_of(const Value& value, const std::string& name) {
  std::vector<double> result;
  for (const Value& each : value.as_list()) {
    if (!each.is_int() && !each.is_float()) {
      refuse(name + " holds a " + each.kind() + " (it is a list of numbers)", "give numbers only");
    }
    result.push_back(each.as_float());
  }
  return result;
}

ScheduleOptions read_schedule(const Parameters& values, std::int64_t batch, std::int64_t epochs) {
  ScheduleOptions schedule;
  schedule.kind = schedule_kind_from(values.at("schedule.kind").as_string());
  const std::int64_t reference = values.at("schedule.reference_batch").as_int();
  const double lr = values.at("lr").as_float();
  schedule.peak = reference > 0 ? scaled_by_batch(lr, batch, reference) : lr;
  schedule.epochs = static_cast<double>(epochs);
  schedule.warmup_epochs = values.at("schedule.warmup_epochs").as_float();
  schedule.warmup_start = values.at("schedule.warmup_start").as_float();
  schedule.milestones = list_of(values.at("schedule.milestones"), "schedule.milestones");
  schedule.step_factor = values.at("schedule.factor").as_float();
  const auto knots = list_of(values.at("schedule.knots"), "schedule.knots");
  const auto shares = list_of(values.at("schedule.shares"), "schedule.shares");
  if (knots.size() != shares.size()) {
    refuse("schedule.knots and schedule.shares differ in length (each knot is an epoch and a share of lr)",
           "give as many shares as knots");
  }
  for (std::size_t i = 0; i < knots.size(); ++i) {
    schedule.knots.push_back({.epoch = knots[i], .rate = shares[i] * schedule.peak});
  }
  return schedule;
}

}  // namespace

WorkloadSchema ddp_schema() {
  WorkloadSchema schema;
  schema.name = "ddp";
  ParameterSpec data{.name = "data.path", .type = ParameterType::string, .default_value = "synthetic"};
  data.help =
      "CIFAR-10 or -100: a folder or .tar.gz in either official layout, a relative path from the folder in "
      "which muster is called; 'synthetic' needs no files";
  data.choices = {"synthetic"};
  data.is_data_path = true;
  ParameterSpec log_every =
      integer("log_every", 1, "steps", "a row in the step table every so many steps", 1);
  log_every.changes_result = false;
  schema.parameters = {
      choice("network", "resnet9", "which network; plain9 is ResNet-9 without batch normalisation",
             network_names()),
      number("width", 1, "1", "times the channels of every layer"),
      data,
      integer("data.samples", 0, "images", "training images to use; 0: all"),
      integer("data.test_samples", 0, "images", "test images to use; 0: all"),
      integer("data.classes", 10, "1", "classes of the synthetic set", 2),
      integer("data.seed", 0, "1", "of the synthetic set; seed is the training's"),
      integer("epochs", 10, "epochs", "passes over the training images", 1),
      integer("batch", 128, "images", "images a step over all ranks, shared evenly", 1),
      number("lr", 0.1, "1", "peak learning rate"),
      choice("schedule.kind", "constant", "how the learning rate moves",
             {"constant", "step", "cosine", "piecewise_linear"}),
      integer("schedule.reference_batch", 0, "images",
              "the batch that lr is for: lr scales with batch; 0: as it is"),
      number("schedule.warmup_epochs", 0, "epochs", "linear warm-up at the beginning"),
      number("schedule.warmup_start", 0, "1", "share of lr at which the warm-up begins", 0, 1),
      numbers("schedule.milestones", {}, "epochs", "where a step schedule multiplies lr by schedule.factor"),
      number("schedule.factor", 0.1, "1", "of a step schedule", 0, 1),
      numbers("schedule.knots", {}, "epochs", "where a piecewise-linear schedule bends"),
      numbers("schedule.shares", {}, "1", "shares of lr at the knots"),
      number("momentum", 0.9, "1", "of SGD", 0, 1),
      flag("nesterov", false, "Nesterov's momentum"),
      number("weight_decay", 5e-4, "1", "of SGD"),
      number("label_smoothing", 0, "1", "share of the label's mass that all classes divide", 0, 1),
      integer("augment.crop", 4, "pixels", "random crop from so much zero padding; 0: none"),
      flag("augment.flip", true, "random horizontal flip"),
      integer("augment.cutout", 0, "pixels", "side of a random square that is blanked; 0: none"),
      choice("precision", "fp32", "of convolutions and matrix products", {"fp32", "bf16", "fp64"}),
      flag("channels_last", true, "keep images and filters channels-last in memory"),
      flag("sync_bn", false, "batch normalisation over all ranks' batches"),
      choice("exchange.algorithm", "library", "how gradients travel", algorithm_names()),
      number("exchange.bucket_mb", 4, "MiB", "gradients that travel together", 0.001),
      integer("evaluate_every", 1, "epochs", "test every so many epochs, and after the last; 0: only then"),
      log_every,
  };
  return schema;
}

DdpParameters read_ddp_parameters(const Task& task, int ranks) {
  const Parameters& values = task.parameters;
  DdpParameters p;
  p.network = values.at("network").as_string();
  p.width = values.at("width").as_float();
  p.data_path = values.at("data.path").as_string();
  p.data_samples = values.at("data.samples").as_int();
  p.data_test_samples = values.at("data.test_samples").as_int();
  p.data_classes = values.at("data.classes").as_int();
  p.data_seed = static_cast<std::uint64_t>(values.at("data.seed").as_int());
  p.epochs = values.at("epochs").as_int();
  p.batch = values.at("batch").as_int();
  if (p.batch % ranks != 0) {
    refuse("a batch of " + std::to_string(p.batch) + " cannot be shared evenly by " + std::to_string(ranks) +
               " ranks (batch counts the images of all ranks)",
           "choose a multiple of " + std::to_string(ranks));
  }
  p.schedule = read_schedule(values, p.batch, p.epochs);
  p.sgd = {.momentum = values.at("momentum").as_float(),
           .weight_decay = values.at("weight_decay").as_float(),
           .nesterov = values.at("nesterov").as_bool()};
  p.label_smoothing = values.at("label_smoothing").as_float();
  p.augmentation = {.crop_padding = static_cast<int>(values.at("augment.crop").as_int()),
                    .flip = values.at("augment.flip").as_bool(),
                    .cutout = static_cast<int>(values.at("augment.cutout").as_int())};
  p.precision = precision_from(values.at("precision").as_string());
  p.channels_last = values.at("channels_last").as_bool();
  p.sync_bn = values.at("sync_bn").as_bool();
  p.algorithm = algorithm_of(values.at("exchange.algorithm").as_string());
  p.bucket_mb = values.at("exchange.bucket_mb").as_float();
  p.evaluate_every = values.at("evaluate_every").as_int();
  p.log_every = values.at("log_every").as_int();
  p.seed = task.seed();
  return p;
}

}  // namespace muster::workloads
