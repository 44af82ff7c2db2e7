#include "workloads/evaluate/evaluation_task.hpp"

#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/weights/weights_file.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/data/augmentation.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/models/network.hpp"
#include "workloads/common/parameter_specs.hpp"
#include "workloads/common/precision.hpp"
#include "workloads/common/weights_loading.hpp"

namespace muster::workloads {
namespace {

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

std::vector<MetricTable> tables() {
  return {
      {"evaluation",
       {whole_column("images", "1", "that were looked at"), real_column("loss", "1", "mean cross entropy"),
        whole_column("right", "1", "images whose most likely class is theirs"),
        real_column("accuracy", "1", "share of them: top-1"),
        real_column("top5_accuracy", "1", "share of images whose class is among the five most likely"),
        real_column("images_per_second", "images/s", "of all ranks, from the first batch to the last"),
        real_column("seconds", "s", "likewise"),
        real_column("load_seconds", "s", "reading weights and images")}},
      {"class",
       {whole_column("class", "1", "index"), whole_column("images", "1", "of this class"),
        real_column("accuracy", "1", "share of them that was recognised")}},
      {"confusion",
       {whole_column("label", "1", "index"), whole_column("predicted", "1", "index"),
        whole_column("count", "1", "images")}},
  };
}

void write(Metrics& metrics, const Evaluation& result, double seconds, double load_seconds) {
  const std::int64_t classes = result.classes();
  metrics.append("evaluation",
                 {result.samples, result.loss, result.right(), result.accuracy(), result.top5_accuracy(),
                  static_cast<double>(result.samples) / seconds, seconds, load_seconds});
  const std::vector<double> accuracy = result.class_accuracy();
  for (std::int64_t label = 0; label < classes; ++label) {
    const auto row = result.confusion.begin() + label * classes;
    metrics.append("class", {label, std::accumulate(row, row + classes, std::int64_t{0}), accuracy[label]});
    for (std::int64_t predicted = 0; predicted < classes; ++predicted)
      metrics.append("confusion", {label, predicted, row[predicted]});
  }
}

}  // namespace

WorkloadSchema evaluate_schema() {
  ParameterSpec data{.name = "data.path", .type = ParameterType::string, .default_value = "synthetic"};
  data.help = "CIFAR-10 or -100: a folder or .tar.gz in either official layout; 'synthetic' needs no files";
  data.choices = {"synthetic"};
  data.is_data_path = true;
  const auto names = [](const char* name, const char* help) {
    ParameterSpec spec{.name = name, .type = ParameterType::list, .default_value = Value::List{}};
    spec.help = help;
    return spec;
  };
  ParameterSpec batch = integer("batch", 256, "images", "images that a rank takes at once", 1);
  batch.changes_result = false;
  WorkloadSchema schema;
  schema.name = "evaluate";
  schema.parameters = {
      choice("network", "resnet20", "what the weights are of", network_names()),
      number("width", 1, "1", "times the channels of every layer"),
      integer("image_side", 0, "pixels",
              "to which a ResNet resizes images first, bilinearly; 0: as they are"),
      data_path("weights", "a .safetensors, .pth, .pt or .th; nothing in it is executed"),
      names("may_be_unused", "tensors of the file that the network need not have, with * for any characters"),
      names("may_be_unfilled", "tensors of the network that the file need not have, likewise"),
      data,
      choice("data.split", "test", "which images", {"test", "train"}),
      integer("data.samples", 0, "images", "the first so many; 0: all"),
      integer("data.classes", 10, "1", "classes of the synthetic set", 2),
      integer("data.seed", 0, "1", "of the synthetic set"),
      choice("normalise", "data",
             "mean and deviation that the weights were trained with: those of the data set's training "
             "images, or "
             "ImageNet's",
             {"data", "imagenet"}),
      choice("precision", "fp32", "of convolutions and matrix products", {"fp32", "bf16", "fp64"}),
      batch,
  };
  return schema;
}

void evaluate_weights(Context& context) {
  const Parameters& values = context.task().parameters;
  const auto text = [&](const char* name) { return values.at(name).as_string(); };
  const auto begin = std::chrono::steady_clock::now();
  const torch::Device device = compute_device(context.device());
  torch::set_num_threads(context.device().threads);
  context.metrics().declare(tables());

  DatasetOptions wanted{.path = text("data.path"),
                        .classes = values.at("data.classes").as_int(),
                        .seed = static_cast<std::uint64_t>(values.at("data.seed").as_int())};
  const bool test = text("data.split") == "test";
  (test ? wanted.test_samples : wanted.samples) = values.at("data.samples").as_int();
  const Dataset data = load_dataset(wanted);

  NetworkOptions options;
  options.name = text("network");
  options.classes = data.classes;
  options.width = values.at("width").as_float();
  options.image_side = values.at("image_side").as_int();
  const Precision precision = precision_from(text("precision"));
  auto network = make_network(options, 0);
  network->to(precision.parameters);
  const WeightsFile file(text("weights"));
  MatchingRules rules;
  rules.may_be_unused = texts_of(values.at("may_be_unused"), "may_be_unused");
  rules.may_be_unfilled = texts_of(values.at("may_be_unfilled"), "may_be_unfilled");
  context.log(file.path().string() + " (" + to_string(file.format()) +
              "): " + load_weights(*network, file, rules).summary());
  network->to(device);
  const ImageSet images = (test ? data.test : data.train).on(device);
  const BatchMaker batches(
      text("normalise") == "imagenet" ? kImageNetStatistics : channel_statistics(data.train),
      precision.images, 0, {0, false, 0});
  const double load_seconds = seconds_since(begin);

  context.communicator().barrier();
  const auto started = std::chrono::steady_clock::now();
  const Evaluation result =
      evaluate(*network, images, batches, data.classes, values.at("batch").as_int(), &context.communicator());
  const double seconds = seconds_since(started);
  if (!std::isfinite(result.loss)) {
    throw Error(ExitCode::diverged, "the loss of these weights is not finite",
                "they are damaged, of another network, or were trained with another normalisation");
  }
  write(context.metrics(), result, seconds, load_seconds);
  context.log(data.name + " " + text("data.split") + ": " + std::to_string(result.samples) +
              " images, accuracy " + std::to_string(result.accuracy()) + ", loss " +
              std::to_string(result.loss));
}

}  // namespace muster::workloads
