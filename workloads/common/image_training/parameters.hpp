#pragma once
/// What an experiment can say to any workload that trains an image classifier.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/task.hpp"
#include "core/workload_schema.hpp"
#include "workloads/common/adamw.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/data/mixing.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/lookahead.hpp"
#include "workloads/common/precision.hpp"
#include "workloads/common/sampling.hpp"
#include "workloads/common/schedule.hpp"
#include "workloads/common/sgd.hpp"

namespace muster::workloads {

struct ImageParameters {
  std::string network;
  double width = 1;                  ///< times the channels of every layer
  std::int64_t image_side = 0;       ///< pixels to which a ResNet resizes images; 0: as they are
  bool imagenet_statistics = false;  ///< normalise with ImageNet's mean and deviation, not the data's
  std::string data_path;
  std::int64_t data_samples = 0;       ///< training images; 0: all (synthetic: its own number)
  std::int64_t data_test_samples = 0;  ///< likewise, of the test set
  std::int64_t data_classes = 0;       ///< of the synthetic set
  std::uint64_t data_seed = 0;         ///< likewise
  std::int64_t epochs = 0;
  std::int64_t batch = 0;  ///< images a step over all ranks
  BatchSplit split;        ///< how the ranks share a batch; no entries: evenly
  ScheduleOptions schedule;
  SgdOptions sgd;
  std::optional<AdamWOptions> adamw;  ///< in the place of SGD
  double norm_bias_factor = 1;        ///< of SGD's rate, for biases of batch normalisation
  LookaheadOptions lookahead;
  double label_smoothing = 0;
  AugmentationOptions augmentation;
  MixingOptions mixing;
  Precision precision;
  bool channels_last = true;
  std::int64_t evaluate_every = 0;
  EvaluationViews evaluate_views = EvaluationViews::none;
  std::int64_t log_every = 1;
  std::uint64_t seed = 0;
};

/// The parameters that all such workloads have. A schema takes them whole and adds its own.
std::vector<ParameterSpec> image_parameter_specs();

/// Throws Error(config) for values that do not go together.
ImageParameters read_image_parameters(const Task& task);

/// What fast recipes add: `bias_lr_factor`, `lookahead.every`, `lookahead.decay`, `augment.alternate_flip`,
/// `augment.padding`, `evaluate_views`. All are off by default.
std::vector<ParameterSpec> recipe_parameter_specs();
/// Puts them into `parameters`. Throws Error(config).
void read_recipe(const Task& task, ImageParameters& parameters);

/// The data set that they name.
DatasetOptions dataset_options(const ImageParameters& parameters);

/// The parameters of a data set of which a workload reads the training part, and their values.
std::vector<ParameterSpec> training_set_specs();
DatasetOptions training_set_options(const Parameters& values);

/// Throws Error(config) for a batch that the ranks cannot share evenly.
void require_even_batch(const ImageParameters& parameters, int ranks);

}  // namespace muster::workloads
