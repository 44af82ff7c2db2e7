#pragma once
/// Tensor parallelism that equals the serial network (Shoeybi et al. 2019, applied to ResNet's blocks), alone
/// or inside data parallelism.

#include <memory>
#include <optional>
#include <vector>

#include "workloads/common/image_training/rank_strategy.hpp"
#include "workloads/common/parallel/slicing.hpp"
#include "workloads/common/parallel/split_resnet.hpp"
#include "workloads/tensor_parallel/held_tensors.hpp"
#include "workloads/tensor_parallel/parameters.hpp"

namespace muster::workloads {

/// Ranks r with the same r / tp hold one network together and see the same images; those with the same r % tp
/// hold the same part and average its gradient, in one message after the backward pass. Checkpoints and final
/// weights are whole: any number of ranks, a serial run or Python can load them.
class ExactStrategy : public RankStrategy {
 public:
  /// `gpus`: between the ranks' GPUs, where networks are to be there; may be null.
  ExactStrategy(TensorParallelOptions options, DeviceCommunicator* gpus)
      : options_(std::move(options)), gpus_(gpus) {}

  Communicator& data_ranks(Communicator& all) override;
  std::shared_ptr<Network> network(const NetworkOptions& options, const ImageParameters& parameters) override;
  bool same_network() const override { return false; }
  NamedTensors to_file(NamedTensors tensors) override;
  void from_file(const NamedTensors& tensors, const SafetensorsFile& file) override;
  Traffic traffic(const Communicator& all) const override;
  std::vector<MetricTable> tables() const override;
  void begin(const TrainingParts& parts, const LoadedCheckpoint* checkpoint) override;
  double backward(const torch::Tensor& loss) override;
  double exposed_seconds() override { return exposed_seconds_; }
  void after_step(const StepPlace& place) override;
  void before_test() override;
  void after_test() override;

 private:
  struct BlockCost {
    SumCost forward, backward;
  };
  std::vector<BlockCost> costs() const;
  void average_gradients();
  void append_blocks(std::int64_t epoch);
  void append_memory();

  TensorParallelOptions options_;
  std::string loaded_;
  DeviceCommunicator* gpus_;
  std::optional<TensorCollectives> all_, tensor_ranks_, data_ranks_;
  std::optional<RankGroup> group_;
  WholeShapes shapes_;
  std::optional<TrainingParts> parts_;
  std::vector<std::pair<std::string, SplitBlock*>> blocks_;
  std::vector<BlockCost> before_test_;
  std::unique_ptr<HeldTensors> first_pass_;  ///< until the first backward pass
  std::int64_t activation_bytes_ = 0;
  std::int64_t steps_ = 0;    ///< of the epoch, since it or this attempt began
  double waited_before_ = 0;  ///< in sums, up to the newest step
  double exposed_seconds_ = 0;
};

}  // namespace muster::workloads
