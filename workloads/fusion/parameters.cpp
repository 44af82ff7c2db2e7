#include "workloads/fusion/parameters.hpp"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/expert_files.hpp"
#include "workloads/common/image_training/gradient_strategy.hpp"
#include "workloads/common/parameter_specs.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kByInputWidth = "input_dim";

/// A folder's weight files in order of their names.
std::vector<std::string> files_in(const std::filesystem::path& folder) {
  std::vector<std::string> files;
  std::error_code problem;
  for (const auto& item : std::filesystem::directory_iterator(folder, problem)) {
    const auto kind = item.path().extension();
    if (kind == ".safetensors" || kind == ".pth" || kind == ".pt" || kind == ".th")
      files.push_back(item.path().string());
  }
  if (problem) {
    throw Error(ExitCode::data,
                "the experts' folder '" + folder.string() + "' cannot be read: " + problem.message(),
                "give a folder that holds their weight files");
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> expert_paths(const Parameters& values) {
  std::vector<std::string> paths = texts_of(values.at("experts"), "experts");
  const std::string folder = values.at("experts_folder").as_string();
  if (paths.empty() == folder.empty()) {
    throw Error(ExitCode::config,
                "a fusion needs its experts' weight files, either as experts or in experts_folder",
                "give one of the two parameters");
  }
  return folder.empty() ? paths : files_in(folder);
}

ScheduleOptions schedule(const Parameters& values, const char* lr, std::int64_t epochs) {
  ScheduleOptions options;
  options.kind = schedule_kind_from(values.at("schedule.kind").as_string());
  options.peak = values.at(lr).as_float();
  options.epochs = static_cast<double>(epochs);
  options.warmup_epochs = values.at("schedule.warmup_epochs").as_float();
  options.milestones = list_of(values.at("schedule.milestones"), "schedule.milestones");
  options.step_factor = values.at("schedule.factor").as_float();
  return options;
}

}  // namespace

WorkloadSchema fusion_schema() {
  ParameterSpec log_every =
      integer("log_every", 1, "steps", "a row in the step table every so many steps", 1);
  log_every.changes_result = false;
  WorkloadSchema schema;
  schema.name = "fusion";
  schema.parameters = training_set_specs();
  const std::vector<ParameterSpec> own{
      data_path("split", "the folder that the split workload wrote: its artifacts"),
      data_paths("experts", "the experts' weight files, in order"),
      data_path("experts_folder", "or the folder that holds them, in order of their names", ""),
      choice("network", "mixed", "what all experts must be of; mixed: whatever each file says",
             expert_network_choices()),
      number("width", 1, "1", "times the channels of every layer, of an expert whose file does not say"),
      choice("fusion", "concatenation", "how the experts' features become one vector", fusion_module_names()),
      integer("common_width", 0, "features",
              "to which experts of other widths are projected; 0: the widest's"),
      integer("hidden", 0, "features", "of the fusion's hidden layers; 0: the common width"),
      integer("epochs", 100, "epochs", "passes over the images that the fusion trains on", 1),
      integer("batch", 128, "images", "images a step over all ranks, shared evenly", 1),
      number("alpha", 1, "1", "weight of the experts' own losses beside the global head's"),
      number("experts_lr", 1e-5, "1", "peak learning rate of the experts and their heads"),
      number("fusion_lr", 1e-3, "1", "peak learning rate of the fusion and the global head"),
      choice("lr_scale", "none",
             "input_dim: fusion_lr is for a fused vector of 512 and falls as that grows, times 512 / d",
             {"none", kByInputWidth}),
      choice("schedule.kind", "cosine", "how both learning rates move", {"constant", "step", "cosine"}),
      number("schedule.warmup_epochs", 0, "epochs", "linear warm-up at the beginning"),
      numbers("schedule.milestones", {}, "epochs", "where a step schedule multiplies the rates"),
      number("schedule.factor", 0.1, "1", "of a step schedule", 0, 1),
      number("weight_decay", 1e-4, "1", "of AdamW"),
      number("clip", 1, "1", "largest Euclidean norm of a step's gradient; 0: any"),
      integer("augment.crop", 4, "pixels", "random crop from so much zero padding; 0: none"),
      flag("augment.flip", true, "random horizontal flip"),
      integer("augment.cutout", 0, "pixels", "side of a random square that is blanked; 0: none"),
      choice("precision", "fp32", "of convolutions and matrix products", {"fp32", "bf16", "fp64"}),
      algorithm_spec("library", "how gradients travel"),
      number("exchange.bucket_mb", 4, "MiB", "gradients that travel together", 0.001),
      log_every,
  };
  schema.parameters.insert(schema.parameters.end(), own.begin(), own.end());
  const auto mixing = mixing_parameter_specs({.mixup = 0.2, .cutmix = 1});
  schema.parameters.insert(schema.parameters.end(), mixing.begin(), mixing.end());
  return schema;
}

FusionParameters read_fusion_parameters(const Task& task) {
  const Parameters& values = task.parameters;
  FusionParameters p;
  p.network = values.at("network").as_string();
  p.width = values.at("width").as_float();
  p.experts = expert_paths(values);
  p.split = values.at("split").as_string();
  p.fusion = values.at("fusion").as_string();
  p.options = {.common_width = values.at("common_width").as_int(), .hidden = values.at("hidden").as_int()};
  p.data = training_set_options(values);
  p.epochs = values.at("epochs").as_int();
  p.batch = values.at("batch").as_int();
  p.alpha = values.at("alpha").as_float();
  p.experts_schedule = schedule(values, "experts_lr", p.epochs);
  p.fusion_schedule = schedule(values, "fusion_lr", p.epochs);
  p.lr_by_input_width = values.at("lr_scale").as_string() == kByInputWidth;
  p.weight_decay = values.at("weight_decay").as_float();
  p.clip = values.at("clip").as_float();
  p.mixing = read_mixing(values);
  p.augmentation = {.crop_padding = static_cast<int>(values.at("augment.crop").as_int()),
                    .flip = values.at("augment.flip").as_bool(),
                    .cutout = static_cast<int>(values.at("augment.cutout").as_int())};
  p.precision = precision_from(values.at("precision").as_string());
  p.exchange.algorithm = algorithm_of(values.at("exchange.algorithm").as_string());
  p.exchange.bucket_mb = values.at("exchange.bucket_mb").as_float();
  p.log_every = values.at("log_every").as_int();
  p.seed = task.seed();
  return p;
}

double fusion_rate(double rate, bool by_input_width, std::int64_t d) {
  return by_input_width ? rate * kReferenceWidth / static_cast<double>(d) : rate;
}

}  // namespace muster::workloads
