#include "workloads/common/image_training/parameters.hpp"

#include <utility>

#include "core/error.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/parameter_specs.hpp"

namespace muster::workloads {
namespace {

[[noreturn]] void refuse(const std::string& problem, const std::string& advice) {
  throw Error(ExitCode::config, problem, advice);
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

std::vector<ParameterSpec> image_parameter_specs() {
  ParameterSpec data{.name = "data.path", .type = ParameterType::string, .default_value = "synthetic"};
  data.help =
      "CIFAR-10 or -100: a folder or .tar.gz in either official layout, a relative path from the folder in "
      "which muster is called; 'synthetic' needs no files";
  data.choices = {"synthetic"};
  data.is_data_path = true;
  ParameterSpec log_every =
      integer("log_every", 1, "steps", "a row in the step table every so many steps", 1);
  log_every.changes_result = false;
  return {
      choice("network", "resnet9",
             "which network; plain9 is ResNet-9 without batch normalisation, cnn the small one of Keras' "
             "example",
             network_names()),
      number("width", 1, "1", "times the channels of every layer"),
      integer("image_side", 0, "pixels",
              "to which a ResNet resizes images first, bilinearly; 0: as they are"),
      choice("normalise", "data", "by mean and deviation of the data's training images, or ImageNet's",
             {"data", "imagenet"}),
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
      integer("evaluate_every", 1, "epochs", "test every so many epochs, and after the last; 0: only then"),
      log_every,
  };
}

ImageParameters read_image_parameters(const Task& task) {
  const Parameters& values = task.parameters;
  ImageParameters p;
  p.network = values.at("network").as_string();
  p.width = values.at("width").as_float();
  p.image_side = values.at("image_side").as_int();
  p.imagenet_statistics = values.at("normalise").as_string() == "imagenet";
  p.data_path = values.at("data.path").as_string();
  p.data_samples = values.at("data.samples").as_int();
  p.data_test_samples = values.at("data.test_samples").as_int();
  p.data_classes = values.at("data.classes").as_int();
  p.data_seed = static_cast<std::uint64_t>(values.at("data.seed").as_int());
  p.epochs = values.at("epochs").as_int();
  p.batch = values.at("batch").as_int();
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
  p.evaluate_every = values.at("evaluate_every").as_int();
  p.log_every = values.at("log_every").as_int();
  p.seed = task.seed();
  return p;
}

std::vector<ParameterSpec> recipe_parameter_specs() {
  return {
      number("bias_lr_factor", 1, "1",
             "times the learning rate of batch normalisation's biases; their weight decay stays"),
      integer("lookahead.every", 0, "steps",
              "the weights step back to a running mean of theirs every so many steps; 0: never"),
      number("lookahead.decay", 0.95, "1", "a step of that mean, at the end of the training", 0, 1),
      flag("augment.alternate_flip", false,
           "flip by drawing in the first epoch alone, then each image the other way round every epoch"),
      choice("augment.padding", "mean", "what a crop sees beyond the image: its mean colour, or it mirrored",
             {"mean", "reflect"}),
      choice("evaluate_views", "none",
             "also test each image mirrored, and translated by a pixel, and take the mean of the answers",
             {"none", "mirror", "mirror+translate"}),
  };
}

void read_recipe(const Task& task, ImageParameters& parameters) {
  const Parameters& values = task.parameters;
  parameters.norm_bias_factor = values.at("bias_lr_factor").as_float();
  parameters.lookahead = {.every = values.at("lookahead.every").as_int(),
                          .decay = values.at("lookahead.decay").as_float()};
  parameters.augmentation.alternate_flip = values.at("augment.alternate_flip").as_bool();
  parameters.augmentation.reflect = values.at("augment.padding").as_string() == "reflect";
  parameters.evaluate_views = evaluation_views_from(values.at("evaluate_views").as_string());
}

DatasetOptions dataset_options(const ImageParameters& parameters) {
  return {.path = parameters.data_path,
          .samples = parameters.data_samples,
          .test_samples = parameters.data_test_samples,
          .classes = parameters.data_classes,
          .seed = parameters.data_seed};
}

std::vector<ParameterSpec> training_set_specs() {
  std::vector<ParameterSpec> specs;
  for (ParameterSpec& spec : image_parameter_specs()) {
    if (spec.name.starts_with("data.") && spec.name != "data.test_samples") specs.push_back(std::move(spec));
  }
  return specs;
}

DatasetOptions training_set_options(const Parameters& values) {
  return {.path = values.at("data.path").as_string(),
          .samples = values.at("data.samples").as_int(),
          .classes = values.at("data.classes").as_int(),
          .seed = static_cast<std::uint64_t>(values.at("data.seed").as_int())};
}

void require_even_batch(const ImageParameters& parameters, int ranks) {
  if (parameters.batch % ranks == 0) return;
  refuse("a batch of " + std::to_string(parameters.batch) + " cannot be shared evenly by " +
             std::to_string(ranks) + " ranks (batch counts the images of all ranks)",
         "choose a multiple of " + std::to_string(ranks));
}

}  // namespace muster::workloads
