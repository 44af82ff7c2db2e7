#pragma once
/// What a rank does to its own gradients before and after they travel.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
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
  double error = std::numeric_limits<double>::quiet_NaN();
};

struct StepCompression {
  std::vector<LayerFigures> layers;
  double compress_seconds = 0;    ///< with the residuals
  double exchange_seconds = 0;    ///< waiting for collectives
  double decompress_seconds = 0;  ///< with the mean
  WireBytes counted;              ///< where bytes leave and enter this rank
  WireBytes closed_form;
  double error = std::numeric_limits<double>::quiet_NaN();  ///< over all layers
};

/// A layer whose gradient lies ready.
struct ReadyGradient {
  std::size_t layer = 0;  ///< index into the joiner's layers
  float* gradient = nullptr;
};

/// Packed forms are in host memory and the same wherever the gradients lie, so that ranks with and without a
/// GPU go together. Between two steps it is used as take_up, then own_scales or first_round and
/// take_first_round where the method has them, pack, unpack and perhaps scale; as often as there are buckets.
class GradientPacker {
 public:
  virtual ~GradientPacker() = default;

  /// What the step does is added to `figures`, which outlives it: kept elements and bytes always, seconds and
  /// errors where `measure` says so or they cost nothing.
  virtual void begin_step(std::uint32_t step, double ratio, bool measure, StepCompression& figures) = 0;
  /// What the step's figures still lack.
  virtual void complete_figures() = 0;

  /// All that follows is about these, until the next call. What earlier steps left out and their momentum
  /// come in.
  virtual void take_up(const std::vector<ReadyGradient>& ready) = 0;
  /// Compressor::own_scale of each.
  virtual std::vector<float> own_scales() = 0;
  /// Compressor::first_round of each, one after the other, and what their mean is. Of methods in two rounds.
  virtual void first_round(PackedBuffer&) {}
  virtual void take_first_round(const PackedBuffer&, float) {}
  /// Appends the packed form of each, made with its agreed scale, and tells their bytes. Keeps what they
  /// leave out. Throws Error(diverged) naming the layer that is not finite.
  virtual std::vector<std::size_t> pack(const std::vector<float>& scales, PackedBuffer& out) = 0;
  /// The gradients become `factor` times the sum of what packed forms stand for, which are of all layers of
  /// one rank, then of the next; `bytes_of` has the bytes of each.
  virtual void unpack(const PackedBuffer& packed, const std::vector<std::size_t>& bytes_of, float factor) = 0;
  virtual void scale(float factor) = 0;

  /// What was left out of a layer and its momentum, where the options have them: this rank's, for a
  /// checkpoint. Memory of where the gradients are.
  virtual std::vector<float*> residuals() = 0;
  virtual std::vector<float*> velocities() = 0;
};

/// `forms` tells the method's closed forms, and is told of each step first; it, `layers` and `options`
/// outlive the packer.
using MakePacker = std::function<std::unique_ptr<GradientPacker>(
    Compressor& forms, const std::vector<Layer>& layers, const JoinOptions& options)>;

/// Of gradients in host memory: `forms` compresses them.
std::unique_ptr<GradientPacker> make_host_packer(Compressor& forms, const std::vector<Layer>& layers,
                                                 const JoinOptions& options);

}  // namespace muster::workloads
