#include "workloads/evaluate_fusion/evaluation_task.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/formatted.hpp"
#include "workloads/common/image_training/parameters.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/parameter_specs.hpp"
#include "workloads/common/precision.hpp"
#include "workloads/fusion/components.hpp"
#include "workloads/fusion/fused_evaluation.hpp"
#include "workloads/fusion/parameters.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kEvaluation = "evaluation";
constexpr const char* kComponent = "component";
constexpr const char* kAnyFusion = "any";

/// What was looked at, in the order of the `component` table.
struct Results {
  FusedEvaluation fusion;
  std::vector<Evaluation> before;  ///< the experts that the fusion began with, if given
  std::optional<Evaluation> control;

  double best_expert() const {
    double best = 0;
    for (const auto* list : {&fusion.experts, &before}) {
      for (const Evaluation& one : *list) best = std::max(best, one.accuracy());
    }
    return best;
  }
  std::vector<const Evaluation*> all() const {
    std::vector<const Evaluation*> list{&fusion.global, &fusion.fused, &fusion.experts_mean};
    for (const Evaluation& one : fusion.experts) list.push_back(&one);
    for (const Evaluation& one : before) list.push_back(&one);
    if (control) list.push_back(&*control);
    return list;
  }
};

std::vector<MetricTable> tables(std::size_t experts, std::size_t before) {
  const auto accuracy = [](const std::string& name, const char* help) {
    return MetricColumn{"test_" + name + "_accuracy", MetricType::floating, "1", help};
  };
  std::vector<MetricColumn> columns{
      whole_column("test_images", "1", "each was looked at once by each component"),
      accuracy("global", "share that the global head gets right"),
      real_column("gain_over_best_expert", "1", "test_global_accuracy - test_best_expert_accuracy"),
      real_column("gain_over_control", "1",
                  "test_global_accuracy - test_control_accuracy; NaN without control"),
      accuracy("best_expert", "the highest of all single experts', by the test set itself: hard to beat"),
      accuracy("control", "of one model trained on all images at the same cost; NaN without control"),
      accuracy("fused", "of both paths: the mean of the global head's and the experts' probabilities"),
      accuracy("experts_mean", "of the mean of the experts' probabilities, without fusion")};
  for (std::size_t i = 0; i < experts; ++i)
    columns.push_back(accuracy("expert_" + std::to_string(i), "of this expert's own head, after the fusion"));
  for (std::size_t i = 0; i < before; ++i)
    columns.push_back(accuracy("expert_" + std::to_string(i) + "_before", "of the expert as it was given"));
  columns.push_back(real_column("seconds", "s", "from the first batch to the last"));
  return {
      {kEvaluation, std::move(columns)},
      {kComponent,
       {whole_column(
            "component", "1",
            "0: global head, 1: both paths, 2: mean of the experts, then the experts in order, those "
            "given as experts, the control"),
        whole_column("images", "1", "that were looked at"), real_column("loss", "1", "mean cross entropy"),
        whole_column("right", "1", "images whose most likely class is theirs"),
        real_column("accuracy", "1", "share of them"),
        real_column("top5_accuracy", "1", "share whose class is among the five most likely")}}};
}

void write(Metrics& metrics, const Results& results, double seconds) {
  const double global = results.fusion.global.accuracy();
  const double best = results.best_expert();
  const double control = results.control ? results.control->accuracy() : std::nan("");
  std::vector<MetricValue> row{results.fusion.global.samples,
                               global,
                               global - best,
                               global - control,
                               best,
                               control,
                               results.fusion.fused.accuracy(),
                               results.fusion.experts_mean.accuracy()};
  for (const Evaluation& expert : results.fusion.experts) row.emplace_back(expert.accuracy());
  for (const Evaluation& expert : results.before) row.emplace_back(expert.accuracy());
  row.emplace_back(seconds);
  metrics.append(kEvaluation, row);
  std::int64_t number = 0;
  for (const Evaluation* one : results.all()) {
    metrics.append(kComponent,
                   {number++, one->samples, one->loss, one->right(), one->accuracy(), one->top5_accuracy()});
  }
}

/// What a table over networks and fusions is sorted by must be true of the files.
void require_kind(const FusionDescription& description, const std::string& folder, const std::string& network,
                  const std::string& fusion) {
  const auto refuse = [&](const std::string& found, const std::string& asked) {
    throw Error(ExitCode::data,
                "the fusion in '" + folder + "' is " + found + ", and " + asked + " was asked for",
                "give the folder of another fusion, or leave the parameter out");
  };
  if (fusion != kAnyFusion && description.fusion != fusion) refuse(description.fusion, fusion);
  for (const ExpertFile& expert : description.experts) {
    if (network != "mixed" && expert.network != network) refuse("of a " + expert.network, network);
  }
}

}  // namespace

WorkloadSchema evaluate_fusion_schema() {
  std::vector<std::string> fusions = fusion_module_names();
  fusions.insert(fusions.begin(), kAnyFusion);
  ParameterSpec batch = integer("batch", 256, "images", "images that a rank takes at once", 1);
  batch.changes_result = false;
  WorkloadSchema schema;
  schema.name = "evaluate_fusion";
  schema.parameters = training_set_specs();
  const std::vector<ParameterSpec> own{
      data_path("fusion_folder", "the artifacts folder of a fusion task: experts/, fusion/ and global/"),
      data_path("control",
                "weights of one model that was trained on all images at the same cost; empty: none", ""),
      data_paths("experts", "weight files of the experts that the fusion began with, to be looked at too"),
      choice("network", "mixed", "what all experts must be of; mixed: anything", expert_network_choices()),
      choice("fusion", kAnyFusion, "what the fusion must be", fusions),
      integer("data.test_samples", 0, "images", "of the test set; 0: all"),
      choice("precision", "fp32", "of convolutions and matrix products", {"fp32", "bf16", "fp64"}),
      batch,
  };
  schema.parameters.insert(schema.parameters.end(), own.begin(), own.end());
  return schema;
}

void evaluate_fusion(Context& context) {
  const Parameters& values = context.task().parameters;
  Communicator& communicator = context.communicator();
  const torch::Device device = compute_device(context.device());
  torch::set_num_threads(context.device().threads);

  const std::string folder = values.at("fusion_folder").as_string();
  const std::string control = values.at("control").as_string();
  const std::vector<std::string> given = texts_of(values.at("experts"), "experts");
  const Precision precision = precision_from(values.at("precision").as_string());
  const FusionDescription description = look_at_components(folder);
  require_kind(description, folder, values.at("network").as_string(), values.at("fusion").as_string());
  context.metrics().declare(tables(description.experts.size(), given.size()));

  DatasetOptions wanted = training_set_options(values);
  wanted.test_samples = values.at("data.test_samples").as_int();
  const Dataset data = load_dataset(wanted);
  if (data.classes != description.classes) {
    throw Error(ExitCode::data,
                "the fusion in '" + folder + "' tells apart " + std::to_string(description.classes) +
                    " classes, and the data set has " + std::to_string(data.classes),
                "evaluate it on the data set that it was trained on");
  }
  const auto batches_of = [&](const ExpertFile& file) {
    const auto& usual = description.experts.front().statistics;
    return BatchMaker(file.statistics ? *file.statistics : *usual, precision.images, 0, {0, false, 0});
  };
  std::vector<ExpertFile> singles;
  for (const std::string& path : given) singles.push_back(look_at_expert(path, data.classes));
  if (!control.empty()) singles.push_back(look_at_expert(control, data.classes));

  const ImageSet test = data.test.on(device);
  const auto network = load_components(folder, description, precision.parameters);
  network->to(device);
  std::vector<std::shared_ptr<FeatureNetwork>> networks;
  for (const ExpertFile& file : singles) {
    networks.push_back(load_expert(file, data.classes, precision.parameters));
    networks.back()->to(device);
  }
  communicator.barrier();
  const auto started = std::chrono::steady_clock::now();
  const std::int64_t batch = values.at("batch").as_int();
  Results results;
  results.fusion = evaluate_fused(*network, test, batches_of(description.experts.front()), data.classes,
                                  batch, &communicator);
  for (std::size_t i = 0; i < networks.size(); ++i) {
    const Evaluation one =
        evaluate(*networks[i], test, batches_of(singles[i]), data.classes, batch, &communicator);
    if (i < given.size()) {
      results.before.push_back(one);
    } else {
      results.control = one;
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
  for (const Evaluation* one : results.all()) {
    if (std::isfinite(one->loss)) continue;
    throw Error(ExitCode::diverged, "the loss of the fusion or of one of its components is not finite",
                "the weights are damaged, or their training has diverged");
  }
  write(context.metrics(), results, seconds.count());
  const std::string text =
      formatted("%lld test images: global %.4f, both paths %.4f, best single expert %.4f",
                static_cast<long long>(data.test.size()), results.fusion.global.accuracy(),
                results.fusion.fused.accuracy(), results.best_expert());
  context.log(text + (results.control ? formatted(", control %.4f", results.control->accuracy()) : ""));
}

}  // namespace muster::workloads
