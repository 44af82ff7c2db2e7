#include "workloads/fusion/metric_tables.hpp"

#include <cstdio>
#include <cstdlib>
#include <sstream>

#include "core/error.hpp"
#include "workloads/common/metric_columns.hpp"

namespace muster::workloads {
namespace {

constexpr const char* kEpoch = "epoch";
constexpr const char* kStep = "step";

std::string of_expert(std::size_t expert, const char* what) {
  return "expert_" + std::to_string(expert) + "_" + what;
}

/// Every bit of the number, after a space.
std::string in_bits(double number) {
  char text[40];
  std::snprintf(text, sizeof text, " %a", number);
  return text;
}

[[noreturn]] void refuse() {
  throw Error(ExitCode::checkpoint, "the checkpoint's sums over an epoch, or its best epoch, cannot be read",
              "remove the checkpoints that another version wrote, and start again");
}

}  // namespace

std::vector<MetricTable> fusion_metric_tables(std::size_t experts) {
  const MetricColumn epoch = whole_column("epoch", "1", "counts from 1");
  const MetricColumn norm =
      real_column("gradient_norm", "1", "Euclidean norm over all parameters, before clipping");
  const MetricColumn clipped = real_column("clipped_gradient_norm", "1", "the same, after clipping");
  const MetricColumn experts_lr =
      real_column("experts_lr", "1", "learning rate of the experts and their heads");
  const MetricColumn fusion_lr =
      real_column("fusion_lr", "1", "learning rate of the fusion and the global head");
  const MetricColumn exposed = real_column("exchange_exposed_seconds", "s",
                                           "rank 0 waiting for gradients that no computation overlapped");

  std::vector<MetricColumn> of_epoch{
      epoch,
      real_column("train_loss", "1", "mean over the steps: global head + alpha * sum of the experts'"),
      real_column("global_loss", "1", "validation: cross entropy of the global head"),
      real_column("global_accuracy", "1", "validation: share that the global head gets right"),
      real_column("fused_loss", "1", "validation: of both paths, the mean of their probabilities"),
      real_column("fused_accuracy", "1", "validation: likewise")};
  std::vector<MetricColumn> of_step{whole_column("step", "1", "optimiser steps done"), epoch,
                                    real_column("loss", "1", "mean over all ranks, as all losses here"),
                                    real_column("global_loss", "1", "of the global head")};
  for (std::size_t i = 0; i < experts; ++i) {
    of_epoch.push_back({of_expert(i, "loss"), MetricType::floating, "1", "validation: of its own head"});
    of_epoch.push_back({of_expert(i, "accuracy"), MetricType::floating, "1", "validation: of its own head"});
    of_step.push_back({of_expert(i, "loss"), MetricType::floating, "1", "of its own head"});
  }
  const std::vector<MetricColumn> epochs_more{
      whole_column("best_epoch", "1", "whose weights are in artifacts/ so far"),
      real_column("best_global_accuracy", "1", "validation, of that epoch"),
      experts_lr,
      fusion_lr,
      norm,
      clipped,
      real_column("images_per_second", "images/s", "of all ranks, training alone"),
      real_column("seconds", "s", "training alone"),
      real_column("validation_seconds", "s", "looking at the validation images"),
      exposed};
  of_epoch.insert(of_epoch.end(), epochs_more.begin(), epochs_more.end());
  const std::vector<MetricColumn> steps_more{
      norm,
      clipped,
      experts_lr,
      fusion_lr,
      real_column("seconds", "s", "from the batch to the updated weights"),
      exposed};
  of_step.insert(of_step.end(), steps_more.begin(), steps_more.end());
  return {{kEpoch, std::move(of_epoch)}, {kStep, std::move(of_step)}};
}

FusionEpochSums& operator+=(FusionEpochSums& sums, const FusionStep& step) {
  ++sums.steps;
  sums.loss += step.losses.front();
  sums.norm.before += step.norm.before;
  sums.norm.after += step.norm.after;
  sums.seconds += step.seconds;
  sums.exposed_seconds += step.exposed_seconds;
  return sums;
}

std::string to_text(const FusionEpochSums& sums) {
  char text[192];
  std::snprintf(text, sizeof text, "%lld %a %a %a %a %a", static_cast<long long>(sums.steps), sums.loss,
                sums.norm.before, sums.norm.after, sums.seconds, sums.exposed_seconds);
  return text;
}

FusionEpochSums fusion_epoch_sums_from(const std::string& text) {
  FusionEpochSums sums;
  long long steps = 0;
  if (std::sscanf(text.c_str(), "%lld %la %la %la %la %la", &steps, &sums.loss, &sums.norm.before,
                  &sums.norm.after, &sums.seconds, &sums.exposed_seconds) != 6)
    refuse();
  sums.steps = steps;
  return sums;
}

std::string to_text(const BestEpoch& best) {
  std::string text = std::to_string(best.epoch) + in_bits(best.accuracy) + in_bits(best.loss);
  for (const double accuracy : best.expert_accuracy) text += in_bits(accuracy);
  return text;
}

BestEpoch best_epoch_from(const std::string& text, std::size_t experts) {
  BestEpoch best;
  std::istringstream words(text);
  words >> best.epoch;
  std::vector<double> numbers;
  for (std::string word; words >> word;) numbers.push_back(std::strtod(word.c_str(), nullptr));
  if (numbers.size() < 2 || numbers.size() != 2 + (best.epoch > 0 ? experts : 0)) refuse();
  best.accuracy = numbers[0];
  best.loss = numbers[1];
  best.expert_accuracy.assign(numbers.begin() + 2, numbers.end());
  return best;
}

void append_step(Metrics& metrics, std::int64_t step, std::int64_t epoch, const FusionStep& figures) {
  std::vector<MetricValue> row{step, epoch};
  for (const double loss : figures.losses) row.emplace_back(loss);
  for (const double value : {figures.norm.before, figures.norm.after, figures.rates.experts,
                             figures.rates.fusion, figures.seconds, figures.exposed_seconds})
    row.emplace_back(value);
  metrics.append(kStep, row);
}

void append_epoch(Metrics& metrics, std::int64_t epoch, std::int64_t images, const FusionEpochSums& sums,
                  const FusionRates& rates, const FusedEvaluation& validation, double validation_seconds,
                  const BestEpoch& best) {
  const auto steps = static_cast<double>(sums.steps);
  std::vector<MetricValue> row{epoch,
                               sums.loss / steps,
                               validation.global.loss,
                               validation.global.accuracy(),
                               validation.fused.loss,
                               validation.fused.accuracy()};
  for (const Evaluation& expert : validation.experts) {
    row.emplace_back(expert.loss);
    row.emplace_back(expert.accuracy());
  }
  row.emplace_back(best.epoch);
  for (const double value :
       {best.accuracy, rates.experts, rates.fusion, sums.norm.before / steps, sums.norm.after / steps,
        static_cast<double>(images) / sums.seconds, sums.seconds, validation_seconds, sums.exposed_seconds})
    row.emplace_back(value);
  metrics.append(kEpoch, row);
}

}  // namespace muster::workloads
