#include "workloads/fusion/training.hpp"

#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string_view>
#include <utility>

#include "core/counted.hpp"
#include "core/error.hpp"
#include "workloads/common/compute_device.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/data/mixing.hpp"
#include "workloads/common/data/split_folder.hpp"
#include "workloads/common/formatted.hpp"
#include "workloads/common/time_mark.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t kValidationBatch = 256;
constexpr std::string_view kExperts = "experts.";
constexpr const char* kEpochSums = "epoch_sums";
constexpr const char* kBest = "best_epoch";
constexpr const char* kBuckets = "buckets";
constexpr std::string_view kBestTensors = "best.";

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// The experts' parameters, or all others.
NamedTensors parameters_of(const FusionNetwork& network, bool experts) {
  NamedTensors chosen;
  for (auto& [name, tensor] : named_parameters(network)) {
    if (name.starts_with(kExperts) == experts) chosen.emplace_back(name, tensor);
  }
  return chosen;
}

FusionDescription described(const FusionParameters& parameters, std::int64_t classes,
                            const ChannelStatistics& statistics) {
  FusionDescription description;
  description.experts = look_at_experts(parameters.experts, parameters.network, parameters.width, classes);
  for (ExpertFile& expert : description.experts) {
    if (expert.statistics && !(*expert.statistics == statistics)) {
      throw Error(
          ExitCode::data,
          "the expert '" + expert.path.string() +
              "' was trained with another normalisation than this split's images have, so on other images "
              "(perhaps on some that are to judge the fusion)",
          "train it with this split and normalise = \"data\", or give the split that it was trained with");
    }
    expert.statistics = statistics;
  }
  description.fusion = parameters.fusion;
  description.options = parameters.options;
  description.classes = classes;
  return description;
}

std::unique_ptr<FusionNetwork> with_trained_experts(const FusionDescription& description,
                                                    const FusionParameters& parameters,
                                                    torch::Device device) {
  std::vector<std::shared_ptr<FeatureNetwork>> experts;
  for (const ExpertFile& file : description.experts)
    experts.push_back(load_expert(file, description.classes, parameters.precision.parameters));
  auto network = std::make_unique<FusionNetwork>(std::move(experts), description.fusion, description.options,
                                                 description.classes, parameters.seed);
  network->to(device);
  return network;
}

ScheduleOptions scaled(ScheduleOptions options, const FusionParameters& parameters, std::int64_t d) {
  options.peak = fusion_rate(options.peak, parameters.lr_by_input_width, d);
  return options;
}

}  // namespace

FusionData load_fusion_data(const FusionParameters& parameters) {
  const Dataset data = load_dataset(parameters.data);
  const Split split = read_split(parameters.split, data);
  return {.name = data.name,
          .classes = data.classes,
          .train = images_of(data.train, split.fusion_train),
          .validation = images_of(data.train, split.validation),
          .statistics = statistics_of(split, data.train)};
}

FusionTraining::FusionTraining(Context& context, const FusionParameters& parameters)
    : context_(context),
      communicator_(context.communicator()),
      parameters_(parameters),
      device_(compute_device(context.device())),
      collectives_(communicator_, device_.is_cpu() ? nullptr : context.device_communicator()),
      data_(load_fusion_data(parameters_)),
      sampler_(data_.train.size(), parameters_.batch, parameters_.seed, communicator_.rank(),
               communicator_.size()),
      batches_(data_.statistics, parameters_.precision.images, parameters_.seed, parameters_.augmentation),
      description_(described(parameters_, data_.classes, data_.statistics)),
      network_(with_trained_experts(description_, parameters_, device_)),
      experts_schedule_(parameters_.experts_schedule),
      fusion_schedule_(scaled(parameters_.fusion_schedule, parameters_, network_->fusion().fused_width())),
      experts_optimiser_(parameters_of(*network_, true), {.weight_decay = parameters_.weight_decay}),
      fusion_optimiser_(parameters_of(*network_, false), {.weight_decay = parameters_.weight_decay}),
      total_steps_(parameters_.epochs * sampler_.steps_per_epoch()) {
  torch::set_num_threads(context.device().threads);
  data_.train = data_.train.on(device_);
  data_.validation = data_.validation.on(device_);
  begin_or_resume();
}

NamedTensors FusionTraining::state() const {
  NamedTensors tensors = training_tensors(*network_, experts_optimiser_);
  const NamedTensors& more = fusion_optimiser_.state();
  tensors.insert(tensors.end(), more.begin(), more.end());
  return tensors;
}

void FusionTraining::begin_or_resume() {
  ExchangeOptions exchange = parameters_.exchange;
  if (const auto checkpoint = context_.checkpoints().load_newest()) {
    restore(state(), *checkpoint->shared);
    done_ = checkpoint->step;
    sums_ = fusion_epoch_sums_from(checkpoint->metadata.at(kEpochSums));
    best_ = best_epoch_from(checkpoint->metadata.at(kBest), description_.experts.size());
    if (best_.epoch > 0) {
      keep_best_tensors();
      restore(best_tensors_, *checkpoint->shared);
      write_best();  // What is there may be of an attempt that went on from here and was given up.
    }
    const auto buckets = checkpoint->metadata.find(kBuckets);
    if (buckets != checkpoint->metadata.end())
      exchange.buckets = bucket_assignment_from(buckets->second, network_->parameters().size());
    context_.log("resumed after step " + std::to_string(done_) + " of " + std::to_string(total_steps_));
  } else {
    broadcast_from_first(collectives_, tensors_of(named_tensors(*network_)));
  }
  experts_optimiser_.set_steps(done_);
  fusion_optimiser_.set_steps(done_);
  exchange_ = std::make_unique<GradientExchange>(collectives_, network_->parameters(), exchange);
  context_.metrics().declare(fusion_metric_tables(description_.experts.size()));
  describe();
}

void FusionTraining::describe() const {
  std::string experts;
  for (const ExpertFile& expert : description_.experts)
    experts += (experts.empty() ? "" : ", ") + expert.network + " from '" + expert.path.string() + "'";
  std::int64_t count = 0;
  for (const Tensor& parameter : network_->parameters()) count += parameter.numel();
  context_.log(description_.fusion + " of " + experts);
  context_.log(std::to_string(count) + " parameters; " + counted(data_.train.size(), "image") + " of " +
               data_.name + "'s hold-out to train on, " + std::to_string(data_.validation.size()) +
               " more to choose the best epoch by");
  context_.log("batch " + std::to_string(parameters_.batch) + " over " +
               counted(communicator_.size(), "rank") + (device_.is_cpu() ? ", " : " on GPUs, ") +
               counted(sampler_.steps_per_epoch(), "step") + " an epoch, " +
               counted(parameters_.epochs, "epoch"));
}

FusionStep FusionTraining::step() {
  const std::int64_t steps = sampler_.steps_per_epoch();
  const std::int64_t epoch = done_ / steps;
  FusionStep figures;
  figures.rates = {experts_schedule_.rate_at(done_, steps), fusion_schedule_.rate_at(done_, steps)};

  const auto samples = sampler_.batch(epoch, done_ % steps);
  MixedBatch batch;
  if (parameters_.mixing.on()) {
    batch = mixed_batch(batches_, data_.train, samples, epoch, data_.classes, parameters_.mixing,
                        parameters_.seed);
  } else {
    batch.images = batches_.training_batch(data_.train, samples, epoch);
    batch.targets = torch::one_hot(BatchMaker::labels(data_.train, samples), data_.classes);
  }
  experts_optimiser_.clear_gradients();
  fusion_optimiser_.clear_gradients();
  network_->begin_batch(samples, epoch);
  const FusionLogits logits = network_->forward(batch.images);
  const Tensor targets = batch.targets.to(device_, logits.global.scalar_type(), /*non_blocking=*/true);
  std::vector<Tensor> losses{torch::cross_entropy_loss(logits.global, targets)};
  for (const Tensor& own : logits.experts) losses.push_back(torch::cross_entropy_loss(own, targets));
  Tensor individual = losses[1];
  for (std::size_t i = 2; i < losses.size(); ++i) individual = individual + losses[i];
  losses.insert(losses.begin(), losses[0] + parameters_.alpha * individual);

  figures.losses = backward(losses);
  if (!std::isfinite(figures.losses.front())) {
    throw Error(ExitCode::diverged,
                formatted("the loss is %g at step %lld (epoch %lld, experts_lr %g, fusion_lr %g)",
                          figures.losses.front(), static_cast<long long>(done_ + 1),
                          static_cast<long long>(epoch + 1), figures.rates.experts, figures.rates.fusion),
                "lower the learning rates; the same parameters diverge again at the same step");
  }
  figures.exposed_seconds = exchange_->take_times().exposed_seconds;
  figures.norm = clip_gradients(network_->parameters(), parameters_.clip);
  experts_optimiser_.step(figures.rates.experts);
  fusion_optimiser_.step(figures.rates.fusion);
  ++done_;
  // A host runs ahead of its GPU by a part of a step: an epoch's time is to have all of its own.
  if (done_ % steps == 0) wait_for(device_);
  return figures;
}

std::vector<double> FusionTraining::backward(const std::vector<Tensor>& losses) {
  auto means = sums_beside_backward(communicator_, losses, [&] { exchange_->backward(losses.front()); });
  for (double& mean : means) mean /= communicator_.size();
  return means;
}

void FusionTraining::finish_epoch(const FusionStep& last) {
  const auto began = Clock::now();
  const std::int64_t epoch = done_ / sampler_.steps_per_epoch();
  // Batch normalisation is local in training; the first rank's running statistics count.
  broadcast_from_first(collectives_, network_->buffers());
  const FusedEvaluation validation =
      evaluate_fused(*network_, data_.validation, batches_, data_.classes, kValidationBatch, &communicator_);
  keep_if_best(epoch, validation);
  const std::int64_t images = sums_.steps * parameters_.batch;
  append_epoch(context_.metrics(), epoch, images, sums_, last.rates, validation, seconds_since(began), best_);
  note_ = formatted("loss %.3f validation: global %.3f", sums_.loss / static_cast<double>(sums_.steps),
                    validation.global.accuracy());
  std::string experts;
  for (const Evaluation& expert : validation.experts) experts += formatted(" %.3f", expert.accuracy());
  context_.log(formatted("epoch %lld/%lld %s, both paths %.3f, experts%s, best epoch %lld",
                         static_cast<long long>(epoch), static_cast<long long>(parameters_.epochs),
                         note_.c_str(), validation.fused.accuracy(), experts.c_str(),
                         static_cast<long long>(best_.epoch)));
  sums_ = {};
}

void FusionTraining::keep_if_best(std::int64_t epoch, const FusedEvaluation& validation) {
  if (!best_.is_beaten_by(validation.global)) return;
  best_ = {.epoch = epoch,
           .accuracy = validation.global.accuracy(),
           .loss = validation.global.loss,
           .expert_accuracy = {}};
  for (const Evaluation& expert : validation.experts) best_.expert_accuracy.push_back(expert.accuracy());
  keep_best_tensors();
  write_best();
}

void FusionTraining::keep_best_tensors() {
  best_tensors_.clear();
  for (const auto& [name, tensor] : named_tensors(*network_))
    best_tensors_.emplace_back(std::string(kBestTensors) + name, tensor.detach().clone());
}

void FusionTraining::write_best() const {
  if (communicator_.rank() != 0) return;
  NamedTensors tensors;
  for (const auto& [name, tensor] : best_tensors_)
    tensors.emplace_back(name.substr(kBestTensors.size()), tensor);
  write_components(context_.artifacts(), tensors, description_, best_);
}

Progress FusionTraining::progress() const {
  const std::int64_t epoch = std::min(done_ / sampler_.steps_per_epoch() + 1, parameters_.epochs);
  return {done_, total_steps_,
          "epoch " + std::to_string(epoch) + "/" + std::to_string(parameters_.epochs) + " " + note_};
}

void FusionTraining::save() {
  NamedTensors tensors = state();
  tensors.insert(tensors.end(), best_tensors_.begin(), best_tensors_.end());
  const TensorViews views(tensors);
  CheckpointState checkpoint;
  checkpoint.step = done_;
  checkpoint.shared = views.views();
  checkpoint.metadata = {{kEpochSums, to_text(sums_)}, {kBest, to_text(best_)}};
  const BucketAssignment buckets = exchange_->buckets();
  if (!buckets.buckets.empty()) checkpoint.metadata[kBuckets] = to_text(buckets);
  context_.checkpoints().save(checkpoint);
}

Outcome FusionTraining::run() {
  while (done_ < total_steps_) {
    const auto began = Clock::now();
    FusionStep figures = step();
    figures.seconds = seconds_since(began);
    sums_ += figures;
    if (done_ % parameters_.log_every == 0) {
      append_step(context_.metrics(), done_, (done_ - 1) / sampler_.steps_per_epoch() + 1, figures);
    }
    if (done_ % sampler_.steps_per_epoch() == 0) finish_epoch(figures);
    const AfterStep next = context_.after_step(progress());
    if (next != AfterStep::go_on) save();
    if (next == AfterStep::save_and_stop) return Outcome::stopped;
  }
  return Outcome::finished;
}

Outcome train_fusion(Context& context) {
  return FusionTraining(context, read_fusion_parameters(context.task())).run();
}

}  // namespace muster::workloads
