#include "workloads/common/image_training/training.hpp"

#include <torch/torch.h>

#include <chrono>
#include <cmath>
#include <set>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/formatted.hpp"
#include "workloads/common/layers/gpu_layers.hpp"
#include "workloads/common/time_mark.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

constexpr std::int64_t kTestBatch = 256;
constexpr const char* kEpochSums = "epoch_sums";

class Stopwatch {
 public:
  /// Seconds since the last call, or since it was made.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> passed = now - last_;
    last_ = now;
    return passed.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

BatchSplit split_of(const ImageParameters& p, int ranks) {
  return p.split.batches.empty() ? even_split(p.batch, ranks) : p.split;
}

NetworkOptions network_options(const ImageParameters& p, std::int64_t classes, BatchNormFunction batch_norm) {
  NetworkOptions options;
  options.name = p.network;
  options.classes = classes;
  options.width = p.width;
  options.image_side = p.image_side;
  options.batch_norm = std::move(batch_norm);
  return options;
}

TrainingData loaded_after_device(const Context& context, const ImageParameters& parameters) {
  compute_device(context.device());
  return load_training_data(parameters);
}

std::shared_ptr<Network> on_device(std::shared_ptr<Network> network, torch::Device device) {
  network->to(device);
  return network;
}

std::vector<double> rate_factors(const Network& network, double of_norm_biases) {
  std::set<std::string> biases;
  for (const auto& module : network.named_modules()) {
    if (module.value()->as<BatchNormImpl>()) biases.insert(module.key() + ".bias");
  }
  std::vector<double> factors;
  for (const auto& [name, parameter] : named_parameters(network))
    factors.push_back(biases.contains(name) ? of_norm_biases : 1);
  return factors;
}

std::unique_ptr<Optimiser> make_optimiser(const Network& network, const ImageParameters& p,
                                          std::int64_t total_steps) {
  std::unique_ptr<Optimiser> optimiser;
  if (p.adamw) {
    optimiser = std::make_unique<AdamW>(named_parameters(network), *p.adamw);
  } else {
    optimiser =
        std::make_unique<Sgd>(named_parameters(network), p.sgd, rate_factors(network, p.norm_bias_factor));
  }
  if (p.lookahead.every == 0) return optimiser;
  return std::make_unique<Lookahead>(std::move(optimiser), named_parameters(network), named_tensors(network),
                                     p.lookahead, total_steps);
}

}  // namespace

TrainingData load_training_data(const ImageParameters& parameters) {
  Dataset data = load_dataset(dataset_options(parameters));
  const ChannelStatistics statistics =
      parameters.imagenet_statistics ? kImageNetStatistics : channel_statistics(data.train);
  return {.data = std::move(data), .statistics = statistics};
}

ImageTraining::ImageTraining(Context& context, const ImageParameters& parameters, RankStrategy& strategy)
    : ImageTraining(context, parameters, strategy, loaded_after_device(context, parameters)) {}

ImageTraining::ImageTraining(Context& context, const ImageParameters& parameters, RankStrategy& strategy,
                             TrainingData data)
    : context_(context),
      communicator_(context.communicator()),
      strategy_(strategy),
      data_ranks_(strategy.data_ranks(communicator_)),
      device_(compute_device(context.device())),
      parameters_(parameters),
      data_(std::move(data.data)),
      tested_on_(std::move(data.tested_on)),
      sampler_(data_.train.size(), split_of(parameters_, data_ranks_.size()), parameters_.seed,
               data_ranks_.rank()),
      batches_(data.statistics, parameters_.precision.images, parameters_.seed, parameters_.augmentation),
      schedule_(parameters_.schedule),
      network_(on_device(
          strategy.network(network_options(parameters_, data_.classes, strategy.batch_norm(communicator_)),
                           parameters_),
          device_)),
      total_steps_(parameters_.epochs * sampler_.steps_per_epoch()),
      optimiser_(make_optimiser(*network_, parameters_, total_steps_)) {
  torch::set_num_threads(context.device().threads);
  begin_or_resume(data.statistics);
}

void ImageTraining::begin_or_resume(const ChannelStatistics& statistics) {
  const auto checkpoint = context_.checkpoints().load_newest();
  if (checkpoint) {
    strategy_.from_file(training_tensors(*network_, *optimiser_),
                        strategy_.ranks_differ() ? *checkpoint->own : *checkpoint->shared);
    done_ = checkpoint->step;
    optimiser_->set_steps(done_);
    sums_ = epoch_sums_from(checkpoint->metadata.at(kEpochSums));
    context_.log("resumed after step " + std::to_string(done_) + " of " + std::to_string(total_steps_));
  } else {
    network_->fit_to(data_.train, statistics);
    if (strategy_.same_network()) broadcast_from_first(communicator_, tensors_of(named_tensors(*network_)));
  }
  data_.train = data_.train.on(device_);
  data_.test = data_.test.on(device_);
  strategy_.begin({context_, parameters_, data_, batches_, sampler_, *network_, *optimiser_},
                  checkpoint ? &*checkpoint : nullptr);
  std::vector<MetricTable> tables = image_metric_tables(tested_on_);
  for (MetricTable& table : strategy_.tables()) tables.push_back(std::move(table));
  context_.metrics().declare(tables);
  describe();
}

void ImageTraining::describe() const {
  std::int64_t parameters = 0;
  for (const auto& p : network_->parameters()) parameters += p.numel();
  context_.log(parameters_.network + " with " + std::to_string(parameters) + " parameters on " + data_.name +
               " (" + std::to_string(data_.train.size()) + " images to train on, " +
               std::to_string(data_.test.size()) + " to test, from " + data_.source + ")");
  context_.log("batch " + std::to_string(parameters_.batch) + " over " +
               std::to_string(communicator_.size()) + (device_.is_cpu() ? " ranks, " : " ranks on GPUs, ") +
               std::to_string(sampler_.steps_per_epoch()) + " steps an epoch, " +
               std::to_string(parameters_.epochs) + " epochs");
  const std::string problem = device_.is_cpu() ? "" : problem_of_gpu_layers();
  if (!problem.empty())
    context_.log("batch normalisation and pooling by LibTorch's kernels, not ours: " + problem);
}

StepFigures ImageTraining::step() {
  const std::int64_t epoch = done_ / sampler_.steps_per_epoch();
  const std::int64_t step_in_epoch = done_ % sampler_.steps_per_epoch();
  const Traffic before = strategy_.traffic(communicator_);
  StepFigures figures;
  figures.lr = schedule_.rate_at(done_, sampler_.steps_per_epoch());

  const auto samples = sampler_.batch(epoch, step_in_epoch);
  torch::Tensor images, targets;
  if (parameters_.mixing.on()) {
    MixedBatch mixed = mixed_batch(batches_, data_.train, samples, epoch, data_.classes, parameters_.mixing,
                                   parameters_.seed);
    images = std::move(mixed.images);
    targets = mixed.targets.to(device_, parameters_.precision.parameters, /*non_blocking=*/true);
  } else {
    images = batches_.training_batch(data_.train, samples, epoch);
    targets = BatchMaker::labels(data_.train, samples).to(device_, /*non_blocking=*/true);
  }
  if (!parameters_.channels_last) images = images.contiguous();
  optimiser_->clear_gradients();
  network_->begin_batch(samples, epoch);
  const torch::Tensor loss = torch::cross_entropy_loss(
      network_->forward(images), targets, {}, at::Reduction::Mean, -100, parameters_.label_smoothing);

  figures.loss = strategy_.backward(loss);
  if (!std::isfinite(figures.loss)) {
    throw Error(ExitCode::diverged,
                formatted("the loss is %g at step %lld (epoch %lld, lr %g)", figures.loss,
                          static_cast<long long>(done_ + 1), static_cast<long long>(epoch + 1), figures.lr),
                "lower lr or lengthen the warm-up; the same parameters diverge again at the same step");
  }
  network_->drop_gradients(epoch);
  optimiser_->step(figures.lr);
  ++done_;
  strategy_.after_step({.step = done_,
                        .epoch = epoch + 1,
                        .steps_per_epoch = sampler_.steps_per_epoch(),
                        .total_steps = total_steps_,
                        .lr = figures.lr,
                        .logged = logged()});

  // A host runs ahead of its GPU by a part of a step: an epoch's time is to have all of its own.
  if (done_ % sampler_.steps_per_epoch() == 0) wait_for(device_);

  const Traffic after = strategy_.traffic(communicator_);
  figures.exchange_busy = after.busy_seconds - before.busy_seconds;
  figures.exchange_exposed = strategy_.exposed_seconds();
  figures.payload_bytes = static_cast<std::int64_t>(after.payload_bytes - before.payload_bytes);
  figures.bytes_sent = static_cast<std::int64_t>(after.bytes_sent - before.bytes_sent);
  figures.bytes_received = static_cast<std::int64_t>(after.bytes_received - before.bytes_received);
  return figures;
}

TestFigures ImageTraining::test(std::int64_t epoch) {
  Stopwatch stopwatch;
  strategy_.before_test();
  TestFigures figures;
  Network& network = strategy_.tested(*network_);
  figures.result = evaluate(network, data_.test, batches_, data_.classes, kTestBatch, &data_ranks_,
                            parameters_.evaluate_views);
  strategy_.epoch_tested(epoch, network, figures.result);
  strategy_.after_test();
  figures.seconds = stopwatch.lap();
  return figures;
}

void ImageTraining::finish_epoch(const StepFigures& last) {
  const std::int64_t epoch = done_ / sampler_.steps_per_epoch();
  const bool final = done_ == total_steps_;
  sums_.loss = strategy_.epoch_loss(sums_.loss);
  const bool tested = final || (parameters_.evaluate_every > 0 && epoch % parameters_.evaluate_every == 0);
  const TestFigures figures = tested ? test(epoch) : TestFigures{};
  append_epoch(context_.metrics(), epoch, last.lr, sums_.steps * parameters_.batch, sums_,
               tested ? &figures : nullptr);
  note_ = formatted("loss %.3f", sums_.loss / static_cast<double>(sums_.steps));
  if (tested) note_ += formatted(" accuracy %.3f", figures.result.accuracy());
  context_.log(formatted("epoch %lld/%lld %s, %.1f images/s", static_cast<long long>(epoch),
                         static_cast<long long>(parameters_.epochs), note_.c_str(),
                         static_cast<double>(sums_.steps * parameters_.batch) / sums_.seconds));
  if (final) append_confusion(context_.metrics(), epoch, figures.result);
  sums_ = {};
}

Progress ImageTraining::progress() const {
  const std::int64_t epoch = std::min(done_ / sampler_.steps_per_epoch() + 1, parameters_.epochs);
  return {done_, total_steps_,
          "epoch " + std::to_string(epoch) + "/" + std::to_string(parameters_.epochs) + " " + note_};
}

void ImageTraining::save() {
  StrategyState more = strategy_.state();
  NamedTensors& place = strategy_.ranks_differ() ? more.own : more.shared;
  const NamedTensors training = strategy_.to_file(training_tensors(*network_, *optimiser_));
  place.insert(place.begin(), training.begin(), training.end());
  const TensorViews shared(more.shared);
  const TensorViews own(more.own);
  CheckpointState state;
  state.step = done_;
  state.shared = shared.views();
  state.own = own.views();
  state.metadata = std::move(more.metadata);
  state.metadata[kEpochSums] = to_text(sums_);
  context_.checkpoints().save(state);
}

void ImageTraining::write_final_weights() {
  strategy_.before_test();
  const NamedTensors tensors = strategy_.to_file(named_tensors(strategy_.tested(*network_)));
  if (communicator_.rank() != 0) return;
  write_weights(context_.artifacts() / "final.safetensors", tensors,
                {{"network", parameters_.network}, {"step", std::to_string(done_)}});
}

Outcome ImageTraining::run() {
  Stopwatch stopwatch;
  double bookkeeping = 0;  // Of the step before: it delays the one that follows.
  while (done_ < total_steps_) {
    StepFigures figures = step();
    figures.seconds = bookkeeping + stopwatch.lap();
    sums_ += figures;
    sums_.bookkeeping += bookkeeping;
    if (logged()) {
      append_step(context_.metrics(), done_, (done_ - 1) / sampler_.steps_per_epoch() + 1, figures);
    }
    bookkeeping = stopwatch.lap();
    if (done_ % sampler_.steps_per_epoch() == 0) finish_epoch(figures);
    stopwatch.lap();
    const AfterStep next = context_.after_step(progress());
    bookkeeping += stopwatch.lap();
    if (next != AfterStep::go_on) save();
    if (next == AfterStep::save_and_stop) return Outcome::stopped;
    stopwatch.lap();
  }
  write_final_weights();
  return Outcome::finished;
}

}  // namespace muster::workloads
