#pragma once
/// Compressed gradients of all ranks become their mean.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runner/communicator.hpp"
#include "workloads/common/compression/compressor.hpp"
#include "workloads/common/compression/packed_buffer.hpp"
#include "workloads/common/compression/wire_bytes.hpp"

namespace muster::workloads {

/// What goes on the wire: the packed form, or the dense gradient that it stands for (the same update, no
/// saving).
enum class CompressedTransport { packed, dense };

struct JoinOptions {
  CompressionOptions compressor;
  CompressedTransport transport = CompressedTransport::packed;
  /// What compression left out is added to the next step's gradient (Seide et al. 2014; Karimireddy et al.
  /// 2019).
  bool error_feedback = false;
  /// Momentum before compression instead of in the optimiser, and forgotten where an element was sent (Lin et
  /// al. 2018, "Deep Gradient Compression"). 0: none. For topk, randomk and thresholdv with error feedback.
  double momentum = 0;
  bool nesterov = false;
  ExchangeAlgorithm algorithm = ExchangeAlgorithm::ring;  ///< of all-reduces
  std::uint64_t seed = 0;
};

/// What one step did to a layer on this rank.
struct LayerFigures {
  std::int64_t elements = 0;
  std::int64_t kept = 0;
  std::int64_t packed_bytes = 0;
  double compress_seconds = 0;
  double decompress_seconds = 0;
  /// |x - decompress(compress(x))| / |x|; 0 of zeros; NaN where not measured.
  double error = 0;
};

struct StepCompression {
  std::vector<LayerFigures> layers;
  double compress_seconds = 0;    ///< with the residuals
  double exchange_seconds = 0;    ///< waiting for collectives
  double decompress_seconds = 0;  ///< with the mean
  WireBytes counted;              ///< where bytes leave and enter this rank
  WireBytes closed_form;
  double error = 0;  ///< over all layers
};

/// A layer whose gradient lies ready.
struct ReadyGradient {
  std::size_t layer = 0;  ///< index into the joiner's layers
  float* gradient = nullptr;
};

/// Every rank makes it from the same layers and options, and makes the same calls in the same order. Sums are
/// made in rank order and divided last, so that `packed` and `dense` give the same bits where compression is
/// deterministic and the all-reduce adds in rank order too (`library` on one host, `parameter_server`, or two
/// ranks). What layers are joined together changes neither.
class GradientJoiner {
 public:
  /// Throws Error(config) for options that do not go together.
  GradientJoiner(Communicator& communicator, std::vector<Layer> layers, const JoinOptions& options);

  /// `step` counts from 0 and keys the draws; `ratio` is what topk and randomk keep.
  void begin_step(std::int64_t step, double ratio, bool measure_error);

  /// Collective: replaces the gradients, which lie one after the other in memory, by the mean over the ranks.
  /// Throws Error(diverged) naming the layer that is not finite.
  void join(const std::vector<ReadyGradient>& ready);

  /// Since begin_step.
  const StepCompression& figures();

  const std::vector<Layer>& layers() const { return layers_; }

  /// This rank's, for a checkpoint: "residual.LAYER", "velocity.LAYER" and what a method keeps. Their sizes
  /// stay.
  std::vector<std::pair<std::string, std::vector<float>*>> state();

 private:
  /// What is compressed together with where it lies in the send buffer.
  struct Part {
    std::size_t layer;
    float* gradient;
    const float* input;
    float scale;
    std::size_t begin, end;
  };

  const float* take_up(const ReadyGradient& ready);
  void agree_on_scales(std::vector<Part>& parts);
  void sum_first_round(const std::vector<Part>& parts);
  void compress(std::vector<Part>& parts);
  void keep_back(const Part& part);
  void join_dense(const std::vector<Part>& parts);
  void join_gathered(const std::vector<Part>& parts);
  void join_summed(const std::vector<Part>& parts);

  std::span<const std::byte> own(const Part& part) const {
    return own_.part(part.begin, part.end - part.begin);
  }
  void clear(const std::vector<Part>& parts);
  void divide(const std::vector<Part>& parts);
  void wait_for(const PendingWork& pending);
  void all_gather(const void* mine, void* all, const std::vector<std::size_t>& bytes_of);
  void all_reduce(void* data, std::size_t count, DType type);

  Communicator& communicator_;
  JoinOptions options_;
  std::vector<Layer> layers_;
  std::unique_ptr<Compressor> compressor_;
  std::vector<std::vector<float>> residuals_, velocities_;  ///< a layer each, or empty

  PackedBuffer own_, gathered_;
  GrowingBuffer<float> dense_;
  std::uint32_t step_ = 0;
  bool measure_error_ = false;
  double error_square_ = 0, norm_square_ = 0;
  StepCompression figures_;
};

}  // namespace muster::workloads
