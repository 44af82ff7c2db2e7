#include "workloads/common/compression/gradient_joiner.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>

#include "core/error.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

using Clock = std::chrono::steady_clock;

/// Adds the seconds that it lived to one or two sums.
class Timer {
 public:
  explicit Timer(double& sum, double* second = nullptr) : sum_(sum), second_(second) {}
  ~Timer() {
    const double passed = std::chrono::duration<double>(Clock::now() - start_).count();
    sum_ += passed;
    if (second_) *second_ += passed;
  }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  double& sum_;
  double* second_;
  Clock::time_point start_ = Clock::now();
};

void check(const JoinOptions& options) {
  const std::string& method = options.compressor.method;
  if (method == "powersgd" && options.transport == CompressedTransport::dense) {
    throw Error(ExitCode::config, "powersgd averages factors, not gradients", "give it transport = packed");
  }
  const bool sparse = method == "topk" || method == "randomk" || method == "thresholdv";
  if (options.momentum != 0 && !(sparse && options.error_feedback)) {
    throw Error(ExitCode::config, "momentum correction is about elements that are held back and sent later",
                "use it with topk, randomk or thresholdv and error_feedback = true");
  }
}

}  // namespace

GradientJoiner::GradientJoiner(Communicator& communicator, std::vector<Layer> layers,
                               const JoinOptions& options)
    : communicator_(communicator),
      options_(options),
      layers_(std::move(layers)),
      compressor_(make_compressor(options.compressor, options.seed, communicator.rank())),
      residuals_(layers_.size()),
      velocities_(layers_.size()) {
  check(options_);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    const auto count = static_cast<std::size_t>(layers_[i].elements);
    if (options_.error_feedback) residuals_[i].resize(count);
    if (options_.momentum != 0) velocities_[i].resize(count);
  }
  begin_step(0, options_.compressor.ratio, false);
}

void GradientJoiner::begin_step(std::int64_t step, double ratio, bool measure_error) {
  step_ = static_cast<std::uint32_t>(step);
  compressor_->begin_step(step_, ratio);
  measure_error_ = measure_error;
  error_square_ = norm_square_ = 0;
  figures_ = {};
  figures_.layers.resize(layers_.size());
  for (std::size_t i = 0; i < layers_.size(); ++i) figures_.layers[i].elements = layers_[i].elements;
}

const StepCompression& GradientJoiner::figures() {
  figures_.error =
      measure_error_ ? relative_error(error_square_, norm_square_) : std::numeric_limits<double>::quiet_NaN();
  return figures_;
}

std::vector<std::pair<std::string, std::vector<float>*>> GradientJoiner::state() {
  std::vector<std::pair<std::string, std::vector<float>*>> all;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (options_.error_feedback) all.emplace_back("residual." + layers_[i].name, &residuals_[i]);
    if (options_.momentum != 0) all.emplace_back("velocity." + layers_[i].name, &velocities_[i]);
  }
  for (const auto& [layer, values] : compressor_->state(layers_)) {
    all.emplace_back("compressor." + layers_[layer].name, values);
  }
  return all;
}

void GradientJoiner::wait_for(const PendingWork& pending) {
  const Timer timer(figures_.exchange_seconds);
  pending->wait();
}

void GradientJoiner::all_gather(const void* mine, void* all, const std::vector<std::size_t>& bytes_of) {
  wait_for(communicator_.all_gather_v(mine, all, bytes_of));
}

void GradientJoiner::all_reduce(void* data, std::size_t count, DType type) {
  wait_for(communicator_.all_reduce(data, count, type, ReduceOp::sum, options_.algorithm));
  figures_.closed_form +=
      all_reduce_bytes(options_.algorithm, count, size_of(type), communicator_.rank(), communicator_.size());
}

const float* GradientJoiner::take_up(const ReadyGradient& ready) {
  const CompressionKernels& loops = compression_kernels();
  const std::int64_t count = layers_[ready.layer].elements;
  if (!options_.error_feedback) return ready.gradient;
  float* residual = residuals_[ready.layer].data();
  if (options_.momentum == 0) {
    loops.add(ready.gradient, count, residual);
    return residual;
  }
  // As torch.optim.SGD: velocity = momentum * velocity + gradient, and Nesterov's looks one step ahead.
  const auto momentum = static_cast<float>(options_.momentum);
  float* velocity = velocities_[ready.layer].data();
  loops.scale(momentum, count, velocity);
  loops.add(ready.gradient, count, velocity);
  if (options_.nesterov) {
    loops.add(ready.gradient, count, residual);
    loops.add_scaled(momentum, velocity, count, residual);
  } else {
    loops.add(velocity, count, residual);
  }
  return residual;
}

void GradientJoiner::agree_on_scales(std::vector<Part>& parts) {
  if (!compressor_->agrees_on_scale()) return;
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  std::vector<float> mine, all(parts.size() * ranks);
  for (const Part& part : parts) {
    const Timer timer(figures_.compress_seconds, &figures_.layers[part.layer].compress_seconds);
    mine.push_back(compressor_->own_scale(layers_[part.layer], part.input));
  }
  const std::vector<std::size_t> bytes_of(ranks, parts.size() * sizeof(float));
  all_gather(mine.data(), all.data(), bytes_of);
  figures_.closed_form += all_gather_bytes(bytes_of, communicator_.rank());
  for (std::size_t i = 0; i < parts.size(); ++i) {
    for (std::size_t r = 0; r < ranks; ++r)
      parts[i].scale = std::max(parts[i].scale, all[r * parts.size() + i]);
  }
}

void GradientJoiner::sum_first_round(const std::vector<Part>& parts) {
  PackedBuffer& sums = gathered_;
  sums.clear();
  std::size_t expected = 0;
  for (const Part& part : parts) {
    const Timer timer(figures_.compress_seconds, &figures_.layers[part.layer].compress_seconds);
    compressor_->first_round(layers_[part.layer], part.input, sums);
    expected += compressor_->first_round_bytes(layers_[part.layer]);
  }
  if (expected == 0) return;
  MUSTER_ASSERT(sums.size() == expected);
  all_reduce(sums.data(), expected / sizeof(float), DType::f32);
  std::size_t begin = 0;
  for (const Part& part : parts) {
    const Timer timer(figures_.compress_seconds, &figures_.layers[part.layer].compress_seconds);
    const std::size_t bytes = compressor_->first_round_bytes(layers_[part.layer]);
    compressor_->take_first_round(layers_[part.layer], sums.part(begin, bytes),
                                  1 / static_cast<float>(communicator_.size()));
    begin += bytes;
  }
}

void GradientJoiner::keep_back(const Part& part) {
  const Layer& layer = layers_[part.layer];
  LayerFigures& figures = figures_.layers[part.layer];
  const double norm = measure_error_ ? square_norm(part.input, layer.elements) : 0;
  float* left = nullptr;  // The input without what was sent.
  if (options_.error_feedback) {
    left = residuals_[part.layer].data();
  } else if (measure_error_) {
    left = dense_.resize(static_cast<std::size_t>(layer.elements));
    if (layer.elements > 0) std::memcpy(left, part.input, static_cast<std::size_t>(layer.elements) * 4);
  }
  if (left) {
    const Timer timer(figures_.compress_seconds, &figures.compress_seconds);
    compressor_->decompress_add(layer, own(part), part.scale, -1, left);
  }
  if (options_.momentum != 0) {
    const Timer timer(figures_.compress_seconds, &figures.compress_seconds);
    float* sent = dense_.resize(static_cast<std::size_t>(layer.elements));
    std::fill_n(sent, layer.elements, 0.0F);
    compressor_->decompress_add(layer, own(part), part.scale, 1, sent);
    float* velocity = velocities_[part.layer].data();
    for (std::int64_t i = 0; i < layer.elements; ++i) velocity[i] = sent[i] != 0 ? 0 : velocity[i];
  }
  figures.error = std::numeric_limits<double>::quiet_NaN();
  if (!measure_error_) return;
  const double error = square_norm(left, layer.elements);
  figures.error = relative_error(error, norm);
  error_square_ += error;
  norm_square_ += norm;
}

void GradientJoiner::compress(std::vector<Part>& parts) {
  own_.clear();
  for (Part& part : parts) {
    LayerFigures& figures = figures_.layers[part.layer];
    part.begin = own_.size();
    {
      const Timer timer(figures_.compress_seconds, &figures.compress_seconds);
      figures.kept = compressor_->compress(layers_[part.layer], part.input, part.scale, own_);
    }
    part.end = own_.size();
    figures.packed_bytes = static_cast<std::int64_t>(part.end - part.begin +
                                                     compressor_->first_round_bytes(layers_[part.layer]) +
                                                     (compressor_->agrees_on_scale() ? sizeof(float) : 0));
  }
}

void GradientJoiner::clear(const std::vector<Part>& parts) {
  const Timer timer(figures_.decompress_seconds);
  for (const Part& part : parts) std::fill_n(part.gradient, layers_[part.layer].elements, 0.0F);
}

void GradientJoiner::divide(const std::vector<Part>& parts) {
  if (communicator_.size() == 1) return;
  const Timer timer(figures_.decompress_seconds);
  const float share = 1 / static_cast<float>(communicator_.size());
  for (const Part& part : parts)
    compression_kernels().scale(share, layers_[part.layer].elements, part.gradient);
}

void GradientJoiner::join_dense(const std::vector<Part>& parts) {
  clear(parts);
  std::size_t count = 0;
  for (const Part& part : parts) {
    const Timer timer(figures_.decompress_seconds, &figures_.layers[part.layer].decompress_seconds);
    MUSTER_ASSERT(part.gradient == parts.front().gradient + count);
    compressor_->decompress_add(layers_[part.layer], own(part), part.scale, 1, part.gradient);
    count += static_cast<std::size_t>(layers_[part.layer].elements);
  }
  all_reduce(parts.front().gradient, count, DType::f32);
  divide(parts);
}

void GradientJoiner::join_gathered(const std::vector<Part>& parts) {
  const auto ranks = static_cast<std::size_t>(communicator_.size());
  std::vector<std::size_t> sizes;  // of parts[i] on rank r at r * parts.size() + i
  std::vector<std::size_t> expected(ranks);
  bool told = true;
  for (const Part& part : parts) told &= compressor_->packed_bytes(layers_[part.layer]).has_value();
  if (told) {
    for (std::size_t r = 0; r < ranks; ++r) {
      for (const Part& part : parts) {
        sizes.push_back(*compressor_->packed_bytes(layers_[part.layer]));
        expected[r] += sizes.back();
      }
    }
  } else {
    // How many elements each rank keeps, then they themselves.
    std::vector<std::uint32_t> mine, all(parts.size() * ranks);
    for (const Part& part : parts) mine.push_back(static_cast<std::uint32_t>(part.end - part.begin) / 8);
    const std::vector<std::size_t> bytes_of(ranks, parts.size() * sizeof(std::uint32_t));
    all_gather(mine.data(), all.data(), bytes_of);
    figures_.closed_form += all_gather_bytes(bytes_of, communicator_.rank());
    for (std::size_t i = 0; i < all.size(); ++i) {
      sizes.push_back(std::size_t{all[i]} * 8);
      expected[i / parts.size()] += sizes.back();
    }
  }
  const std::size_t total = [&] {
    std::size_t sum = 0;
    for (const std::size_t bytes : expected) sum += bytes;
    return sum;
  }();
  MUSTER_ASSERT(expected[static_cast<std::size_t>(communicator_.rank())] == own_.size());
  gathered_.resize(total);
  all_gather(own_.data(), gathered_.data(), expected);
  figures_.closed_form += all_gather_bytes(expected, communicator_.rank());
  clear(parts);
  std::size_t begin = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const Part& part = parts[i % parts.size()];
    const Timer timer(figures_.decompress_seconds, &figures_.layers[part.layer].decompress_seconds);
    compressor_->decompress_add(layers_[part.layer], gathered_.part(begin, sizes[i]), part.scale, 1,
                                part.gradient);
    begin += sizes[i];
  }
  divide(parts);
}

void GradientJoiner::join_summed(const std::vector<Part>& parts) {
  const DType type = compressor_->summed_type();
  all_reduce(own_.data(), own_.size() / size_of(type), type);
  clear(parts);
  for (const Part& part : parts) {
    const Timer timer(figures_.decompress_seconds, &figures_.layers[part.layer].decompress_seconds);
    compressor_->decompress_add(layers_[part.layer], own(part), part.scale,
                                1 / static_cast<float>(communicator_.size()), part.gradient);
  }
}

void GradientJoiner::join(const std::vector<ReadyGradient>& ready) {
  const Traffic before = communicator_.traffic();
  std::vector<Part> parts;
  for (const ReadyGradient& one : ready) {
    const Timer timer(figures_.compress_seconds, &figures_.layers[one.layer].compress_seconds);
    parts.push_back({one.layer, one.gradient, take_up(one), 0, 0, 0});
  }
  agree_on_scales(parts);
  sum_first_round(parts);
  compress(parts);
  for (const Part& part : parts) keep_back(part);
  if (options_.transport == CompressedTransport::dense) {
    join_dense(parts);
  } else if (compressor_->joining() == Joining::gathered) {
    join_gathered(parts);
  } else {
    join_summed(parts);
  }
  const Traffic after = communicator_.traffic();
  figures_.counted += {after.bytes_sent - before.bytes_sent, after.bytes_received - before.bytes_received};
}

}  // namespace muster::workloads
