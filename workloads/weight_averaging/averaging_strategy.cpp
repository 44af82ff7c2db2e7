#include "workloads/weight_averaging/averaging_strategy.hpp"

#include <cmath>

#include "workloads/common/compression/wire_bytes.hpp"
#include "workloads/common/host_values.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/time_mark.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

using torch::Tensor;

constexpr const char* kTable = "average";
constexpr const char* kSince = "local_steps";

NamedTensors copies(const NamedTensors& tensors, const std::string& prefix, bool zero) {
  const torch::NoGradGuard no_grad;
  NamedTensors result;
  for (const auto& [name, tensor] : tensors)
    result.emplace_back(prefix + name, zero ? torch::zeros_like(tensor.detach()) : tensor.detach().clone());
  return result;
}

}  // namespace

AveragingStrategy::AveragingStrategy(const AveragingOptions& options, BatchSplit split)
    : options_(options), split_(std::move(split)) {}

std::vector<MetricTable> AveragingStrategy::tables() const {
  return {{kTable,
           {whole_column("step", "1", "optimiser steps done"), whole_column("epoch", "1", "counts from 1"),
            whole_column("local_steps", "1", "made since the average before"),
            real_column("seconds", "s", "copying, waiting for the other ranks and exchanging, on rank 0"),
            real_column("exchange_busy_seconds", "s", "rank 0 inside the all-reduce"),
            real_column("distance", "1", "of rank 0's weights from the mean, as a share of the mean's norm"),
            whole_column("payload_bytes", "B", "given to the all-reduce by rank 0"),
            whole_column("bytes_sent", "B", "by rank 0, counted; 0 where exchange.algorithm is library"),
            whole_column("bytes_received", "B", "by rank 0, likewise"),
            whole_column("expected_bytes_sent", "B", "by rank 0: the algorithm's closed form")}}};
}

void AveragingStrategy::begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) {
  parts_.emplace(parts);
  collectives_.emplace(collectives_of(parts));
  const Communicator& communicator = parts.context.communicator();
  const std::int64_t steps = parts.sampler.steps_per_epoch();
  plan_ = {.period = options_.period,
           .switch_step = std::llround(options_.switch_epoch * static_cast<double>(steps)),
           .steps_per_epoch = steps,
           .total_steps = parts.parameters.epochs * steps};
  own_share_ = static_cast<double>(split_.batches[static_cast<std::size_t>(communicator.rank())]) /
               static_cast<double>(split_.global_batch());
  for (const auto& [name, tensor] : named_parameters(parts.network)) weights_.push_back(tensor.detach());
  loss_sum_ = torch::zeros({1}, torch::kFloat64);
  if (has_outer() && communicator.size() > 1) {
    before_ = copies(named_parameters(parts.network), "outer.before.", false);
    momentum_ = copies(named_parameters(parts.network), "outer.momentum.", true);
  }
  if (!checkpoint) return;
  restore(before_, *checkpoint->shared);
  restore(momentum_, *checkpoint->shared);
  restore({{"epoch_loss", loss_sum_}}, *checkpoint->own);
  done_ = checkpoint->step;
  since_ = std::stoll(checkpoint->metadata.at(kSince));
}

Traffic AveragingStrategy::traffic(const Communicator& all) const {
  return collectives_ ? collectives_->traffic() : all.traffic();
}

double AveragingStrategy::backward(const Tensor& loss) {
  const HostValues value({loss});
  loss.backward();
  const double own = value.get().front();
  loss_sum_[0] += own;
  return own;
}

void AveragingStrategy::after_step(const StepPlace& place) {
  done_ = place.step;
  ++since_;
  exposed_seconds_ = 0;
  if (parts_->context.communicator().size() == 1 || !plan_.due_after(place.step)) return;
  average_and_note(place);
}

void AveragingStrategy::average_and_note(const StepPlace& place) {
  const torch::NoGradGuard no_grad;
  const TimeMark began(weights_.front().device());
  const Traffic before = collectives_->traffic();
  std::vector<Tensor> own;
  for (const Tensor& weight : weights_) own.push_back(weight.clone());
  std::vector<Tensor> tensors = weights_;
  if (options_.average_momentum)
    for (const auto& [name, tensor] : parts_->optimiser.state()) tensors.push_back(tensor);
  average(tensors);
  exposed_seconds_ = TimeMark(weights_.front().device()).seconds_since(began);
  const Traffic after = collectives_->traffic();

  double distance = 0, norm = 0;
  for (std::size_t i = 0; i < own.size(); ++i) {
    distance = std::hypot(distance, own[i].sub_(weights_[i]).norm().item<double>());
    norm = std::hypot(norm, weights_[i].norm().item<double>());
  }
  if (!before_.empty() && plan_.is_local(place.step)) step_outward();
  for (std::size_t i = 0; i < before_.size(); ++i) before_[i].second.copy_(weights_[i]);

  const WireBytes expected =
      all_reduce_bytes(options_.algorithm, static_cast<std::size_t>(flat_.numel()), flat_.element_size(),
                       collectives_->rank(), collectives_->size());
  parts_->context.metrics().append(
      kTable, {place.step, place.epoch, since_, exposed_seconds_, after.busy_seconds - before.busy_seconds,
               norm > 0 ? distance / norm : 0.0,
               static_cast<std::int64_t>(after.payload_bytes - before.payload_bytes),
               static_cast<std::int64_t>(after.bytes_sent - before.bytes_sent),
               static_cast<std::int64_t>(after.bytes_received - before.bytes_received),
               static_cast<std::int64_t>(expected.sent)});
  since_ = 0;
}

void AveragingStrategy::average(const std::vector<Tensor>& tensors) {
  const torch::NoGradGuard no_grad;
  std::int64_t count = 0;
  for (const Tensor& tensor : tensors) count += tensor.numel();
  // A ring then cuts it into equal pieces.
  const std::int64_t ranks = collectives_->size();
  const std::int64_t padded = (count + ranks - 1) / ranks * ranks;
  if (!flat_.defined() || flat_.numel() != padded) flat_ = torch::zeros({padded}, tensors[0].options());
  std::int64_t begin = 0;
  for (const Tensor& tensor : tensors) {
    flat_.narrow(0, begin, tensor.numel()).copy_(tensor.reshape({-1}));
    begin += tensor.numel();
  }
  flat_.mul_(own_share_);
  collectives_->all_reduce(flat_, ReduceOp::sum, options_.algorithm)->wait();
  begin = 0;
  for (Tensor tensor : tensors) {
    tensor.copy_(flat_.narrow(0, begin, tensor.numel()).view(tensor.sizes()));
    begin += tensor.numel();
  }
}

void AveragingStrategy::step_outward() {
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    Tensor weight = weights_[i];
    const Tensor& before = before_[i].second;
    Tensor momentum = momentum_[i].second;
    Tensor step = before - weight;
    momentum.mul_(options_.outer_momentum).add_(step);
    if (options_.outer_nesterov) {
      step.add_(momentum, options_.outer_momentum);
    } else {
      step.copy_(momentum);
    }
    weight.copy_(before - options_.outer_lr * step);
  }
}

double AveragingStrategy::epoch_loss(double sum) {
  Communicator& communicator = parts_->context.communicator();
  double mean = own_share_ * loss_sum_.item<double>();
  loss_sum_.zero_();
  if (communicator.size() == 1) return sum;
  communicator.all_reduce(&mean, 1, DType::f64, ReduceOp::sum)->wait();
  return mean;
}

void AveragingStrategy::before_test() {
  if (parts_->context.communicator().size() == 1) return;
  const torch::NoGradGuard no_grad;
  kept_.clear();
  for (const auto& [name, tensor] : named_tensors(parts_->network)) kept_.push_back(tensor.clone());
  if (since_ > 0) average(weights_);
  const std::vector<Tensor> statistics = parts_->network.buffers();
  if (statistics.empty()) return;
  if (options_.norm_batches > 0) estimate_statistics();
  average(statistics);
}

void AveragingStrategy::after_test() {
  const torch::NoGradGuard no_grad;
  std::size_t i = 0;
  if (kept_.empty()) return;
  for (auto& [name, tensor] : named_tensors(parts_->network)) tensor.copy_(kept_[i++]);
  kept_.clear();
}

void AveragingStrategy::estimate_statistics() {
  const TrainingParts& p = *parts_;
  const std::int64_t steps = plan_.steps_per_epoch;
  const std::int64_t epoch = std::max<std::int64_t>(done_ - 1, 0) / steps;
  const std::int64_t batches = std::min(options_.norm_batches, steps);
  std::vector<Tensor> statistics, sums;
  std::vector<double> momenta;
  for (const auto& module : p.network.modules()) {
    const auto* norm = module->as<BatchNormImpl>();
    if (!norm) continue;
    for (const Tensor& one : {norm->running_mean, norm->running_var}) {
      statistics.push_back(one);
      sums.push_back(torch::zeros_like(one));
      momenta.push_back(norm->options().momentum);
    }
  }
  for (std::int64_t b = 0; b < batches; ++b) {
    // From zero, a pass leaves momentum times its batch's statistics.
    for (Tensor one : statistics) one.zero_();
    const auto samples = p.sampler.batch(epoch, b);
    Tensor images = p.batches.training_batch(p.data.train, samples, epoch);
    if (!p.parameters.channels_last) images = images.contiguous();
    p.network.begin_batch(samples, epoch);
    p.network.forward(images);
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += statistics[i];
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    Tensor one = statistics[i];
    one.copy_(sums[i] / (momenta[i] * static_cast<double>(batches)));
  }
}

StrategyState AveragingStrategy::state() const {
  StrategyState state;
  state.shared = before_;
  state.shared.insert(state.shared.end(), momentum_.begin(), momentum_.end());
  state.own = {{"epoch_loss", loss_sum_}};
  state.metadata[kSince] = std::to_string(since_);
  return state;
}

}  // namespace muster::workloads
