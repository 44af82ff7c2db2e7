#include "workloads/common/image_training/compressed_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <sstream>

#include "core/error.hpp"
#include "workloads/common/compression/cost_model.hpp"
#include "workloads/common/compression/granularity_choice.hpp"
#include "workloads/common/formatted.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/parameter_specs.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kJoined = "joined";
/// The ratio whose loops are taken for topk's at any.
constexpr double kBreakEvenFrom = 0.01;

JoinOptions join_options(const Parameters& values) {
  JoinOptions join;
  join.compressor = {.method = values.at("exchange.compressor").as_string(),
                     .ratio = values.at("exchange.ratio").as_float(),
                     .unbiased = values.at("exchange.unbiased").as_bool(),
                     .threshold = values.at("exchange.threshold").as_float(),
                     .clip = values.at("exchange.clip").as_float(),
                     .levels = values.at("exchange.levels").as_int(),
                     .bucket = values.at("exchange.norm_bucket").as_int(),
                     .rank = values.at("exchange.powersgd_rank").as_int()};
  join.transport = values.at("exchange.transport").as_string() == "dense" ? CompressedTransport::dense
                                                                          : CompressedTransport::packed;
  join.error_feedback = values.at("exchange.error_feedback").as_bool();
  return join;
}

/// Collective: chooses, and writes down what was found.
JoinedParameters chosen(const TrainingParts& parts, const CompressionSettings& settings,
                        const std::vector<torch::Tensor>& gradients) {
  const std::vector<Layer> layers = gradient_layers(named_parameters(parts.network));
  MUSTER_ASSERT(gradients.size() == layers.size());
  std::vector<torch::Tensor> kept;
  std::vector<const float*> places;
  for (const torch::Tensor& gradient : gradients) {
    kept.push_back(gradient.cpu().contiguous());
    places.push_back(kept.back().const_data_ptr<float>());
  }
  CompressionOptions options = settings.join.compressor;
  options.ratio = ratio_at(settings, 0);
  const std::vector<LayerChoice> choices =
      choose_joined(parts.context.communicator(), options, settings.join.seed, layers, places);
  JoinedParameters joined;
  std::string names;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    const LayerChoice& choice = choices[i];
    parts.context.metrics().append(
        "granularity", {static_cast<std::int64_t>(i), layers[i].elements, choice.alone_bytes,
                        relative_error(choice.alone_error, choice.square_norm), choice.joined_bytes,
                        relative_error(choice.joined_error, choice.square_norm), choice.joined ? 1 : 0});
    if (!choice.joined) continue;
    joined.push_back(i);
    names += ' ' + layers[i].name;
  }
  if (!joined.empty()) parts.context.log("granularity: chosen to be compressed as one:" + names);
  return joined;
}

JoinedParameters joined_at_first(const TrainingParts& parts, const CompressionSettings& settings,
                                 const std::vector<torch::Tensor>& gradients) {
  if (settings.granularity == Granularity::layerwise) return {};
  if (settings.granularity == Granularity::entire_model) return all_joined(named_parameters(parts.network));
  return chosen(parts, settings, gradients);
}

JoinedParameters joined_in(const LoadedCheckpoint& checkpoint, const TrainingParts& parts,
                           const CompressionSettings& settings) {
  if (settings.granularity != Granularity::automatic) return joined_at_first(parts, settings, {});
  std::istringstream text(checkpoint.metadata.at(kJoined));
  return {std::istream_iterator<std::size_t>(text), {}};
}

}  // namespace

std::vector<ParameterSpec> compression_parameter_specs() {
  ParameterSpec calibrate =
      flag("exchange.calibrate", false, "measure the connection first, and tell what each method would cost");
  calibrate.changes_result = false;
  return {
      choice("exchange.compressor", "none", "what gradients are compressed by", compressor_names()),
      choice("exchange.granularity", "layerwise",
             "what is compressed as one; auto chooses for each layer, by error and bytes of the first step",
             {"layerwise", "entire_model", "auto"}),
      choice("exchange.transport", "packed",
             "what travels: the packed form, or the dense gradient that it stands for", {"packed", "dense"}),
      flag("exchange.error_feedback", false, "what was left out is added to the next step's gradient"),
      number("exchange.ratio", 0.5, "1", "share of the elements that topk and randomk keep", 0, 1),
      flag("exchange.unbiased", false, "randomk scales what it keeps, so that the mean is the gradient"),
      number("exchange.threshold", 0.001, "1", "magnitude from which thresholdv keeps an element"),
      number("exchange.clip", 0, "standard deviations", "where terngrad cuts magnitudes; 0: nowhere"),
      integer("exchange.levels", 255, "1", "of qsgd", 1),
      integer("exchange.norm_bucket", 0, "elements",
              "that share a norm in qsgd, a multiple of 512; 0: all of what is compressed as one"),
      integer("exchange.powersgd_rank", 4, "1", "of powersgd's matrices", 1),
      flag("exchange.momentum_correction", false,
           "momentum before compression instead of in the optimiser; needs error feedback"),
      number("exchange.warm_up_ratio", 0, "1", "what topk and randomk keep in the first epoch; 0: no warm-up",
             0, 1),
      number("exchange.warm_up_epochs", 4, "epochs", "until exchange.ratio is reached, by equal factors"),
      calibrate,
  };
}

std::optional<CompressionSettings> read_compression(const Task& task, ExchangeAlgorithm algorithm,
                                                    ImageParameters& parameters, bool even_none) {
  const Parameters& values = task.parameters;
  CompressionSettings settings;
  settings.join = join_options(values);
  if (settings.join.compressor.method == "none" && !even_none) return std::nullopt;
  settings.join.algorithm = algorithm;
  settings.join.seed = parameters.seed;
  const std::string& granularity = values.at("exchange.granularity").as_string();
  settings.granularity = granularity == "layerwise"      ? Granularity::layerwise
                         : granularity == "entire_model" ? Granularity::entire_model
                                                         : Granularity::automatic;
  settings.warm_up_ratio = values.at("exchange.warm_up_ratio").as_float();
  settings.warm_up_epochs = values.at("exchange.warm_up_epochs").as_float();
  settings.calibrate = values.at("exchange.calibrate").as_bool();
  if (values.at("exchange.momentum_correction").as_bool()) {
    SgdOptions& sgd = parameters.sgd;
    if (sgd.momentum == 0) {
      throw Error(ExitCode::config, "momentum correction without momentum corrects nothing",
                  "give momentum = 0.9, or leave exchange.momentum_correction out");
    }
    settings.join.momentum = sgd.momentum;
    settings.join.nesterov = sgd.nesterov;
    // Momentum would have added the decay up over so many steps.
    sgd.weight_decay /= 1 - sgd.momentum;
    sgd.momentum = 0;
    sgd.nesterov = false;
  }
  return settings;
}

double ratio_at(const CompressionSettings& settings, std::int64_t epoch) {
  const double ratio = settings.join.compressor.ratio;
  const auto place = static_cast<double>(epoch);
  if (settings.warm_up_ratio <= ratio || place >= settings.warm_up_epochs) return ratio;
  return settings.warm_up_ratio * std::pow(ratio / settings.warm_up_ratio, place / settings.warm_up_epochs);
}

std::vector<MetricTable> compression_tables() {
  const MetricColumn step = whole_column("step", "1", "optimiser steps done");
  const MetricColumn elements = whole_column("elements", "1", "of the gradient");
  const MetricColumn kept = whole_column("kept", "1", "elements whose values rank 0 sent");
  const MetricColumn error = real_column("error", "1", "of rank 0: |x - decompressed(x)| / |x|");
  const MetricColumn compress = real_column("compress_seconds", "s", "rank 0, residuals among them");
  const MetricColumn decompress = real_column("decompress_seconds", "s", "rank 0");
  return {{"compression",
           {step, elements, kept,
            whole_column("bytes_sent", "B", "of gradients by rank 0, counted as they leave"),
            whole_column("closed_form_sent", "B", "what the method's formula says"),
            whole_column("bytes_received", "B", "likewise, counted as they arrive"),
            whole_column("closed_form_received", "B", "likewise"), compress,
            real_column("exchange_seconds", "s", "rank 0 waiting for collectives of gradients"), decompress,
            real_column("ratio", "1", "asked of topk and randomk"), error}},
          {"layer",
           {step,
            whole_column("layer", "1",
                         "index of what is compressed as one: parameters in their order, joined ones last"),
            elements, kept, whole_column("packed_bytes", "B", "of rank 0's packed form, with its scale"),
            compress, decompress, error}},
          {"cost",
           {whole_column("method", "1",
                         "index into none, fp16, bf16, topk, randomk, thresholdv, terngrad, qsgd, powersgd"),
            real_column("ratio", "1", "of topk and randomk"),
            real_column("bytes_sent", "B", "predicted, by a rank in a step"),
            real_column("exchange_seconds", "s", "predicted, in collectives"),
            real_column("compress_seconds", "s", "predicted"),
            real_column("decompress_seconds", "s", "predicted")}},
          {"granularity",
           {whole_column("parameter", "1", "index"), elements,
            real_column("alone_bytes", "B", "of a rank's packed form, a mean over ranks"),
            real_column("alone_error", "1", "|x - decompressed(x)| / |x|, compressed by itself"),
            real_column("joined_bytes", "B", "its part of what is compressed with others"),
            real_column("joined_error", "1", "likewise, when it was last tried with others"),
            whole_column("joined", "1", "1: it was chosen to be compressed with others")}}};
}

CompressedGradients::CompressedGradients(const TrainingParts& parts, const CompressionSettings& settings,
                                         std::int64_t done, JoinedParameters joined)
    : context_(parts.context),
      settings_(settings),
      steps_per_epoch_(parts.sampler.steps_per_epoch()),
      log_every_(parts.parameters.log_every),
      done_(done),
      joined_(std::move(joined)),
      compression_(parts.context.communicator(), named_parameters(parts.network), joined_, settings.join) {
  const std::size_t parameters = parts.network.parameters().size();
  context_.log("gradients by " + settings.join.compressor.method + ", " +
               (joined_.empty() ? std::to_string(parameters) + " layers each for itself"
                : joined_.size() == parameters
                    ? std::string("all layers as one")
                    : std::to_string(joined_.size()) + " layers as one, " +
                          std::to_string(parameters - joined_.size()) + " each for itself") +
               ", on the " + compression_.place());
}

CompressedGradients::CompressedGradients(const TrainingParts& parts, const CompressionSettings& settings,
                                         const std::vector<torch::Tensor>& first_gradients)
    : CompressedGradients(parts, settings, 0, joined_at_first(parts, settings, first_gradients)) {}

CompressedGradients::CompressedGradients(const TrainingParts& parts, const CompressionSettings& settings,
                                         const LoadedCheckpoint& checkpoint)
    : CompressedGradients(parts, settings, checkpoint.step, joined_in(checkpoint, parts, settings)) {
  restore(compression_.state(), *checkpoint.own);
}

void CompressedGradients::add_to(StrategyState& state) {
  state.own = compression_.state();
  if (settings_.granularity != Granularity::automatic) return;
  std::string& text = state.metadata[kJoined];
  for (const std::size_t index : joined_) text += std::to_string(index) + ' ';
}

void CompressedGradients::install(ExchangeOptions& options) {
  compression_.install(options);
  if (settings_.calibrate && done_ == 0) calibrate(options.bucket_mb);
}

void CompressedGradients::calibrate(double bucket_mb) {
  if (compression_.place() == "GPU")
    context_.log("calibrating by the CPU's compressors; these gradients are compressed on the GPU");
  Communicator& communicator = context_.communicator();
  double bytes = 0;
  for (const Layer& layer : compression_.layers()) bytes += 4 * static_cast<double>(layer.elements);
  const LinkCosts link =
      measure_link(communicator, settings_.join.algorithm, static_cast<std::size_t>(bytes));
  const int buckets = settings_.granularity == Granularity::entire_model
                          ? 1
                          : static_cast<int>(std::ceil(bytes / (bucket_mb * (1 << 20)))) + 1;
  const auto predicted = [&](const CompressionOptions& options, const LoopCost& loops) {
    return predict(options, link, loops, compression_.layers(), buckets, communicator.size());
  };
  std::vector<CompressionOptions> candidates;
  const auto& names = compressor_names();
  for (const std::string& name : names) {
    const bool sparse = name == "topk" || name == "randomk";
    if (name == "thresholdv" || (name == "powersgd" && settings_.granularity == Granularity::entire_model))
      continue;
    for (const double ratio :
         sparse ? std::vector<double>{0.001, kBreakEvenFrom, 0.1, 0.5} : std::vector<double>{1}) {
      candidates.push_back(settings_.join.compressor);
      candidates.back().method = name;
      candidates.back().ratio = ratio;
    }
  }
  if (communicator.size() > 1) {
    const auto rate = [](const LinkCost& cost) {
      return 1e-6 * cost.points.back().bytes / cost.points.back().seconds;
    };
    context_.log(formatted(
        "connection: gathers %.3g ms and %.4g MB/s, sums %.3g ms and %.4g MB/s of what a rank sends",
        1e3 * link.gather.points.front().seconds, rate(link.gather), 1e3 * link.reduce.points.front().seconds,
        rate(link.reduce)));
  }
  double dense = 0, half = 0;
  LoopCost topk_loops;
  for (const CompressionOptions& options : candidates) {
    const LoopCost loops = measure_loops(options, settings_.join.seed);
    const Prediction cost = predicted(options, loops);
    if (options.method == "none") dense = cost.seconds();
    if (options.method == "fp16") half = cost.seconds();
    if (options.method == "topk" && options.ratio == kBreakEvenFrom) topk_loops = loops;
    const auto index = std::find(names.begin(), names.end(), options.method) - names.begin();
    costs_.push_back({static_cast<std::int64_t>(index), options.ratio, cost.bytes_sent, cost.exchange_seconds,
                      cost.compress_seconds, cost.decompress_seconds});
    context_.log(formatted("predicted, a step's exchange by %s, ratio %g: %.4g MB sent, %.4g s",
                           options.method.c_str(), options.ratio, 1e-6 * cost.bytes_sent, cost.seconds()));
  }
  CompressionOptions topk = settings_.join.compressor;
  topk.method = "topk";
  topk.ratio = kBreakEvenFrom;
  const auto below = [&](double seconds) {
    return break_even_ratio(topk, link, topk_loops, compression_.layers(), buckets, communicator.size(),
                            seconds);
  };
  context_.log(formatted("topk begins to pay below ratio %.3g beside none, %.3g beside fp16", below(dense),
                         below(half)));
}

void CompressedGradients::before_backward() {
  const bool logged = (done_ + 1) % log_every_ == 0;
  compression_.begin_step(done_, ratio_at(settings_, done_ / steps_per_epoch_), logged);
}

void CompressedGradients::after_step(const StepPlace& place) {
  done_ = place.step;
  for (const auto& row : costs_) context_.metrics().append("cost", row);
  costs_.clear();
  if (!place.logged) return;
  const StepCompression& step = compression_.figures();
  std::int64_t elements = 0, kept = 0;
  for (std::size_t i = 0; i < step.layers.size(); ++i) {
    const LayerFigures& layer = step.layers[i];
    elements += layer.elements;
    kept += layer.kept;
    context_.metrics().append(
        "layer", {place.step, static_cast<std::int64_t>(i), layer.elements, layer.kept, layer.packed_bytes,
                  layer.compress_seconds, layer.decompress_seconds, layer.error});
  }
  const auto bytes = [](std::uint64_t count) { return static_cast<std::int64_t>(count); };
  context_.metrics().append(
      "compression", {place.step, elements, kept, bytes(step.counted.sent), bytes(step.closed_form.sent),
                      bytes(step.counted.received), bytes(step.closed_form.received), step.compress_seconds,
                      step.exchange_seconds, step.decompress_seconds,
                      ratio_at(settings_, (place.step - 1) / steps_per_epoch_), step.error});
}

}  // namespace muster::workloads
