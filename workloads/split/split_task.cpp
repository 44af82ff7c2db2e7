#include "workloads/split/split_task.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/index_file.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/data/split_folder.hpp"
#include "workloads/common/image_training/parameters.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/parameter_specs.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kDrawn = "drawn";

/// Images of each class among these.
std::vector<std::int64_t> class_counts(const Dataset& data, const std::vector<std::int64_t>& indices) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(data.classes), 0);
  const auto* labels = data.train.labels.const_data_ptr<std::int64_t>();
  for (const std::int64_t image : indices) ++counts[static_cast<std::size_t>(labels[image])];
  return counts;
}

void report(Context& context, const Dataset& data, const Split& split) {
  std::vector<std::vector<std::int64_t>> parts = split.experts;
  for (const auto* part : {&split.holdout, &split.fusion_train, &split.validation}) parts.push_back(*part);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const auto counts = class_counts(data, parts[i]);
    const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
    context.metrics().append("part", {static_cast<std::int64_t>(i), std::ssize(parts[i]), *least, *most});
  }
  std::string sizes;
  for (const auto& expert : split.experts)
    sizes += (sizes.empty() ? "" : ", ") + std::to_string(expert.size());
  context.log("of " + std::to_string(data.train.size()) + " images of " + data.name + " " +
              std::to_string(split.holdout.size()) + " are held out, " +
              std::to_string(split.validation.size()) + " of them for validation; experts train on " + sizes);
}

}  // namespace

WorkloadSchema split_schema() {
  ParameterSpec holdout = data_path(
      "holdout",
      "indices to hold out, a .npy (int64) or .txt; 'drawn': by the seed, holdout_share of the images",
      kDrawn);
  holdout.choices = {kDrawn};
  WorkloadSchema schema;
  schema.name = "split";
  schema.parameters = training_set_specs();
  for (ParameterSpec& spec : std::vector<ParameterSpec>{
           integer("experts", 4, "1", "how many experts", 1), holdout,
           number("holdout_share", 0.2, "1", "of all training images, held out from the experts", 0, 1),
           number("shared_share", 0.5, "1",
                  "of the images that are not held out, what every expert trains on; they divide the rest", 0,
                  1),
           number("validation_share", 0.2, "1", "of the hold-out, by which epochs are compared", 0, 1)}) {
    schema.parameters.push_back(std::move(spec));
  }
  return schema;
}

void make_split_folder(Context& context) {
  const Task& task = context.task();
  const Parameters& values = task.parameters;
  context.metrics().declare(
      {{"part",
        {whole_column(
             "part", "1",
             "an expert's index; then, in this order, the hold-out, what fusions train on, validation"),
         whole_column("images", "1", "in it"), whole_column("least", "1", "images of its rarest class"),
         whole_column("most", "1", "images of its most frequent class")}}});
  if (context.communicator().rank() == 0) {
    const Dataset data = load_dataset(training_set_options(values));
    const SplitOptions options{.experts = values.at("experts").as_int(),
                               .holdout = values.at("holdout_share").as_float(),
                               .shared = values.at("shared_share").as_float(),
                               .validation = values.at("validation_share").as_float(),
                               .seed = task.seed()};
    std::optional<std::vector<std::int64_t>> holdout;
    if (const std::string& file = values.at("holdout").as_string(); file != kDrawn)
      holdout = read_indices(file, data.train.size());
    const std::span<const std::int64_t> labels(data.train.labels.const_data_ptr<std::int64_t>(),
                                               static_cast<std::size_t>(data.train.size()));
    write_split(context.artifacts(), make_split(labels, data.classes, options, holdout), data, options);
    report(context, data, read_split(context.artifacts(), data));
  }
  context.communicator().barrier();
}

}  // namespace muster::workloads
