#pragma once
/// Compressed gradients of all ranks become their mean.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runner/communicator.hpp"
#include "workloads/common/compression/gradient_packer.hpp"

namespace muster::workloads {

/// Every rank makes it from the same layers and options, and makes the same calls in the same order. Sums are
/// made in rank order and divided last, so that `packed` and `dense` give the same bits where compression is
/// deterministic and the all-reduce adds in rank order too (`library` on one host, `parameter_server`, or two
/// ranks). What layers are joined together changes neither.
class GradientJoiner {
 public:
  /// Throws Error(config) for options that do not go together.
  GradientJoiner(Communicator& communicator, std::vector<Layer> layers, const JoinOptions& options,
                 const MakePacker& make_packer = make_host_packer);
  GradientJoiner(const GradientJoiner&) = delete;
  GradientJoiner& operator=(const GradientJoiner&) = delete;

  /// `step` counts from 0 and keys the draws; `ratio` is what topk and randomk keep.
  void begin_step(std::int64_t step, double ratio, bool measure);

  /// Collective: replaces the gradients, which lie one after the other in memory, by the mean over the ranks.
  /// Throws Error(diverged) naming the layer that is not finite.
  void join(const std::vector<ReadyGradient>& ready);

  /// Since begin_step.
  const StepCompression& figures();

  const std::vector<Layer>& layers() const { return layers_; }

  /// This rank's, for a checkpoint: "residual.LAYER" and "velocity.LAYER", in the memory of the gradients,
  /// and what a method keeps. The same places at every call.
  std::vector<std::pair<std::string, std::span<float>>> state();

 private:
  std::vector<float> agreed_scales(const std::vector<ReadyGradient>& ready);
  void sum_first_round(const std::vector<ReadyGradient>& ready);
  void join_dense(const std::vector<ReadyGradient>& ready, const std::vector<std::size_t>& own_bytes);
  void join_gathered(const std::vector<ReadyGradient>& ready, const std::vector<std::size_t>& own_bytes);
  void join_summed(const std::vector<std::size_t>& own_bytes);

  float share() const { return 1 / static_cast<float>(communicator_.size()); }
  void wait_for(const PendingWork& pending);
  void all_gather(const void* mine, void* all, const std::vector<std::size_t>& bytes_of);
  void all_reduce(void* data, std::size_t count, DType type);

  Communicator& communicator_;
  JoinOptions options_;
  std::vector<Layer> layers_;
  std::unique_ptr<Compressor> compressor_;
  std::unique_ptr<GradientPacker> packer_;

  PackedBuffer own_, gathered_;
  StepCompression figures_;
};

}  // namespace muster::workloads
