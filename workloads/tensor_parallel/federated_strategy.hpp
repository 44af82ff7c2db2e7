#pragma once
/// Rounds of training slices apart: the way of the mission's source, kept for comparison.

#include <memory>
#include <optional>
#include <vector>

#include "workloads/common/image_training/rank_strategy.hpp"
#include "workloads/common/parallel/slicing.hpp"
#include "workloads/common/parallel/split_resnet.hpp"
#include "workloads/tensor_parallel/parameters.hpp"

namespace muster::workloads {

/// Each rank trains its slice on its own shard of the images, and goes on from conv2 with its partial result,
/// unsummed. At the end of a round tensors that all hold are averaged over the ranks, running statistics
/// included; the network that is tested has the slices side by side. bn2 was fitted on partial results and
/// then meets their sum: known to collapse. `rebalance` gives the tested network statistics of bn2 that were
/// estimated on the sum. Momentum is each rank's own and goes on. A checkpoint holds every rank's slice, the
/// final weights are whole.
class FederatedStrategy : public RankStrategy {
 public:
  /// `gpus`: see ExactStrategy.
  FederatedStrategy(TensorParallelOptions options, DeviceCommunicator* gpus)
      : options_(std::move(options)), gpus_(gpus) {}

  Communicator& data_ranks(Communicator& all) override;
  std::shared_ptr<Network> network(const NetworkOptions& options, const ImageParameters& parameters) override;
  bool same_network() const override { return false; }
  Traffic traffic(const Communicator&) const override { return group_->collectives().traffic(); }
  bool ranks_differ() const override { return true; }
  std::vector<MetricTable> tables() const override;
  void begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) override;
  double backward(const torch::Tensor& loss) override;
  double exposed_seconds() override { return 0; }
  void after_step(const StepPlace& place) override;
  void before_test() override;
  Network& tested(Network&) override { return *whole_; }
  StrategyState state() const override;

 private:
  void average_whole_tensors();
  void concatenate();
  void rebalance();
  /// The attempt that wrote the checkpoint had tested then: its rows are there.
  bool recorded() const { return step_ == resumed_at_; }

  TensorParallelOptions options_;
  std::string loaded_;
  DeviceCommunicator* gpus_;
  std::optional<RankGroup> group_;
  std::shared_ptr<Network> whole_;  ///< what is tested
  std::optional<TrainingParts> parts_;
  std::int64_t epoch_ = 0;
  std::int64_t step_ = 0;
  std::int64_t resumed_at_ = -1;    ///< the step of the checkpoint that this attempt began with
  std::int64_t assembled_at_ = -1;  ///< the step after which whole_ was put together
  double average_seconds_ = 0;      ///< of the newest round
};

}  // namespace muster::workloads
