#include "workloads/tensor_parallel/federated_strategy.hpp"

#include "core/error.hpp"
#include "workloads/common/exchange/gradient_exchange.hpp"
#include "workloads/common/metric_columns.hpp"
#include "workloads/common/time_mark.hpp"
#include "workloads/common/training_state.hpp"

namespace muster::workloads {
namespace {

constexpr std::int64_t kRebalanceBatch = 64;

/// Seconds of `work` on the network's device.
template <class Work>
double timed(const Network& network, const Work& work) {
  const c10::Device device = network.parameters().front().device();
  const TimeMark begin(device);
  work();
  return TimeMark(device).seconds_since(begin);
}

/// The norms behind the sums ("layer1.0.bn2"), in order.
std::vector<BatchNormImpl*> norms_after_sums(torch::nn::Module& network) {
  std::vector<BatchNormImpl*> norms;
  for (const auto& item : network.named_modules()) {
    auto* norm = item.value()->as<BatchNormImpl>();
    if (norm && item.key().starts_with("layer") && item.key().ends_with(".bn2")) norms.push_back(norm);
  }
  return norms;
}

struct Statistics {
  torch::Tensor mean, variance;
};

}  // namespace

Communicator& FederatedStrategy::data_ranks(Communicator& all) {
  group_.emplace(TensorCollectives(all, gpus_), /*sums=*/false);
  return all;
}

std::shared_ptr<Network> FederatedStrategy::network(const NetworkOptions& options,
                                                    const ImageParameters& parameters) {
  whole_ = whole_start(options, parameters, options_, loaded_);
  auto part = make_split_resnet(options, *group_);
  whole_->eval();
  part->to(parameters.precision.parameters);
  copy_parts(named_tensors(*whole_), named_tensors(*part), *group_);
  return part;
}

std::vector<MetricTable> FederatedStrategy::tables() const {
  return {
      {"round",
       {whole_column("epoch", "1", "at whose end the network was put together"),
        real_column("average_seconds", "s", "averaging what all ranks hold, at the newest round's end"),
        real_column("concatenate_seconds", "s", "putting the slices side by side"),
        real_column("rebalance_seconds", "s", "estimating bn2's statistics on the sum")}},
      {"norm",
       {whole_column("epoch", "1", "likewise"), whole_column("block", "1", "index, from the stem on"),
        real_column("partial_variance", "1",
                    "mean over channels of bn2's running variance, fitted on partial results"),
        real_column("whole_variance", "1", "likewise, estimated on the sum, which the tested network meets"),
        real_column("mean_shift", "1",
                    "mean over channels of the means' distance, in partial standard deviations")}},
  };
}

void FederatedStrategy::begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) {
  parts_.emplace(parts);
  whole_->to(parts.network.parameters().front().device());
  if (checkpoint) {
    epoch_ = std::stoll(checkpoint->metadata.at("federated_epoch"));
    step_ = resumed_at_ = checkpoint->step;
  }
  if (!loaded_.empty()) parts.context.log(loaded_);
  parts.context.log("federated rounds of " + std::to_string(options_.round_epochs) + " epochs over " +
                    std::to_string(group_->size()) + " slices" +
                    (options_.rebalance ? ", bn2 re-estimated" : ""));
}

double FederatedStrategy::backward(const torch::Tensor& loss) {
  const auto sums = sums_beside_backward(group_->collectives().host(), {loss}, [&] { loss.backward(); });
  return sums[0] / group_->size();
}

void FederatedStrategy::after_step(const StepPlace& place) {
  epoch_ = place.epoch;
  step_ = place.step;
  const bool epoch_ends = place.step % place.steps_per_epoch == 0;
  if ((epoch_ends && place.epoch % options_.round_epochs == 0) || place.step == place.total_steps)
    average_seconds_ = timed(parts_->network, [&] { average_whole_tensors(); });
}

/// What all ranks hold becomes its mean; slices stay.
void FederatedStrategy::average_whole_tensors() {
  const NamedTensors own = named_tensors(parts_->network);
  const NamedTensors whole = named_tensors(*whole_);
  std::vector<torch::Tensor> same;
  for (std::size_t i = 0; i < own.size(); ++i) {
    if (own[i].second.sizes() == whole[i].second.sizes()) same.push_back(own[i].second);
  }
  average_in_one_message(group_->collectives(), same);
}

/// The tested network: slices side by side, and the first rank's of what all hold.
void FederatedStrategy::concatenate() {
  const torch::NoGradGuard no_grad;
  const NamedTensors own = named_tensors(parts_->network);
  const NamedTensors whole = named_tensors(*whole_);
  for (std::size_t i = 0; i < own.size(); ++i) {
    torch::Tensor target = whole[i].second;
    target.copy_(gather_whole(own[i].second, target.sizes().vec(), *group_));
    if (target.sizes() == own[i].second.sizes()) group_->collectives().broadcast(target, 0)->wait();
  }
}

/// Re-estimates bn2's statistics of the tested network, records both, and keeps the new ones where asked.
void FederatedStrategy::rebalance() {
  const torch::NoGradGuard no_grad;
  const auto norms = norms_after_sums(*whole_);
  std::vector<Statistics> partial, estimated;
  for (const BatchNormImpl* norm : norms) {
    partial.push_back({norm->running_mean.clone(), norm->running_var.clone()});
    estimated.push_back({torch::zeros_like(norm->running_mean), torch::zeros_like(norm->running_var)});
  }
  std::vector<torch::Tensor> kept;
  for (const auto& buffer : whole_->buffers()) kept.push_back(buffer.clone());
  const std::int64_t images = std::min(options_.rebalance_images, parts_->data.train.size());
  std::int64_t batches = 0;
  whole_->train();
  for (std::int64_t begin = 0; begin < images; begin += kRebalanceBatch) {
    for (BatchNormImpl* norm : norms) {
      norm->running_mean.zero_();
      norm->running_var.zero_();
    }
    whole_->forward(parts_->batches.evaluation_batch(parts_->data.train, begin,
                                                     std::min(begin + kRebalanceBatch, images)));
    // From zero, one update leaves momentum times the batch's own.
    for (std::size_t i = 0; i < norms.size(); ++i) {
      estimated[i].mean += norms[i]->running_mean / kNormMomentum;
      estimated[i].variance += norms[i]->running_var / kNormMomentum;
    }
    ++batches;
  }
  whole_->eval();
  auto buffers = whole_->buffers();
  for (std::size_t i = 0; i < buffers.size(); ++i) buffers[i].copy_(kept[i]);
  for (std::size_t i = 0; i < norms.size(); ++i) {
    estimated[i].mean /= static_cast<double>(batches);
    estimated[i].variance /= static_cast<double>(batches);
    const torch::Tensor shift =
        (estimated[i].mean - partial[i].mean).abs() / (partial[i].variance + kNormEpsilon).sqrt();
    if (!recorded())
      parts_->context.metrics().append(
          "norm", {epoch_, static_cast<std::int64_t>(i), partial[i].variance.mean().item<double>(),
                   estimated[i].variance.mean().item<double>(), shift.mean().item<double>()});
    if (!options_.rebalance) continue;
    norms[i]->running_mean.copy_(estimated[i].mean);
    norms[i]->running_var.copy_(estimated[i].variance);
  }
}

StrategyState FederatedStrategy::state() const {
  StrategyState state;
  state.metadata["federated_epoch"] = std::to_string(epoch_);
  return state;
}

void FederatedStrategy::before_test() {
  if (assembled_at_ == step_) return;  // The last epoch's test was of what is written now.
  assembled_at_ = step_;
  const double concatenate_seconds = timed(parts_->network, [&] { concatenate(); });
  const double rebalance_seconds = timed(parts_->network, [&] { rebalance(); });
  if (!recorded())
    parts_->context.metrics().append("round",
                                     {epoch_, average_seconds_, concatenate_seconds, rebalance_seconds});
}

}  // namespace muster::workloads
