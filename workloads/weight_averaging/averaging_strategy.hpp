#pragma once
/// Ranks that train on their own for a while, and then average their weights.

#include <optional>
#include <vector>

#include "workloads/common/image_training/rank_strategy.hpp"
#include "workloads/weight_averaging/averaging_plan.hpp"
#include "workloads/weight_averaging/parameters.hpp"

namespace muster::workloads {

/// Local SGD (Stich 2019; McMahan et al. 2017): each rank steps by its own gradients, and when the plan says
/// so its weights become the mean of all ranks', weighted by the samples that each has a step. Where asked,
/// the step from average to average has a rate and a momentum of its own: `m = momentum * m + (before -
/// mean)`, and the weights become `before - lr * m`, or with Nesterov `before - lr * (before - mean +
/// momentum * m)`; at a constant learning rate that is slow momentum (Wang et al. 2020), and DiLoCo's outer
/// step (Douillard et al. 2023). What is tested is the mean of the ranks' weights at that time, which leaves
/// their own untouched. One rank alone trains as if there were no strategy: the serial baseline.
class AveragingStrategy : public RankStrategy {
 public:
  /// `split`: the ranks' samples of a step, their weights in every mean.
  AveragingStrategy(const AveragingOptions& options, BatchSplit split);

  Traffic traffic(const Communicator& all) const override;
  std::vector<MetricTable> tables() const override;
  bool ranks_differ() const override { return true; }
  void begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) override;
  double backward(const torch::Tensor& loss) override;
  double exposed_seconds() override { return exposed_seconds_; }
  void after_step(const StepPlace& place) override;
  double epoch_loss(double sum) override;
  void before_test() override;
  void after_test() override;
  StrategyState state() const override;

 private:
  /// Collective: in place, the mean over ranks of all tensors, through one flat buffer.
  void average(const std::vector<torch::Tensor>& tensors);
  void average_and_note(const StepPlace& place);
  void step_outward();
  void estimate_statistics();
  bool has_outer() const { return options_.outer_momentum > 0 || options_.outer_lr != 1; }

  AveragingOptions options_;
  BatchSplit split_;
  std::optional<TrainingParts> parts_;
  std::optional<TensorCollectives> collectives_;
  AveragingPlan plan_;
  double own_share_ = 1;  ///< this rank's, of the samples
  std::vector<torch::Tensor> weights_;
  torch::Tensor flat_;      ///< what travels; padded to a multiple of the ranks
  NamedTensors before_;     ///< outer step: weights after the newest average
  NamedTensors momentum_;   ///< outer step
  torch::Tensor loss_sum_;  ///< fp64 [1]: this rank's losses of the epoch so far
  std::int64_t done_ = 0;   ///< steps
  std::int64_t since_ = 0;  ///< steps since the newest average
  double exposed_seconds_ = 0;
  std::vector<torch::Tensor> kept_;  ///< while a test is under way: this rank's weights and statistics
};

}  // namespace muster::workloads
