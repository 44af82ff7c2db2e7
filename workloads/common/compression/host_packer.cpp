#include <algorithm>
#include <chrono>
#include <cstring>

#include "workloads/common/compression/gradient_packer.hpp"
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

class HostPacker final : public GradientPacker {
 public:
  HostPacker(Compressor& compressor, const std::vector<Layer>& layers, const JoinOptions& options)
      : compressor_(compressor),
        layers_(layers),
        options_(options),
        residuals_(layers.size()),
        velocities_(layers.size()) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto count = static_cast<std::size_t>(layers[i].elements);
      if (options.error_feedback) residuals_[i].resize(count);
      if (options.momentum != 0) velocities_[i].resize(count);
    }
  }

  void begin_step(std::uint32_t, double, bool measure, StepCompression& figures) override {
    measure_ = measure;
    error_square_ = norm_square_ = 0;
    figures_ = &figures;
  }
  void complete_figures() override {
    if (measure_) figures_->error = relative_error(error_square_, norm_square_);
  }

  void take_up(const std::vector<ReadyGradient>& ready) override {
    parts_.clear();
    for (const ReadyGradient& one : ready) {
      const Timer timer = compressing(one.layer);
      parts_.push_back({one.layer, one.gradient, input_of(one), 0});
    }
  }

  std::vector<float> own_scales() override {
    std::vector<float> scales;
    for (const Part& part : parts_) {
      const Timer timer = compressing(part.layer);
      scales.push_back(compressor_.own_scale(layers_[part.layer], part.input));
    }
    return scales;
  }

  void first_round(PackedBuffer& sums) override {
    for (const Part& part : parts_) {
      const Timer timer = compressing(part.layer);
      compressor_.first_round(layers_[part.layer], part.input, sums);
    }
  }
  void take_first_round(const PackedBuffer& sums, float factor) override {
    std::size_t begin = 0;
    for (const Part& part : parts_) {
      const Timer timer = compressing(part.layer);
      const std::size_t bytes = compressor_.first_round_bytes(layers_[part.layer]);
      compressor_.take_first_round(layers_[part.layer], sums.part(begin, bytes), factor);
      begin += bytes;
    }
  }

  std::vector<std::size_t> pack(const std::vector<float>& scales, PackedBuffer& out) override {
    const std::size_t first = out.size();
    std::vector<std::size_t> bytes_of;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      Part& part = parts_[i];
      const Timer timer = compressing(part.layer);
      const std::size_t begin = out.size();
      part.scale = scales[i];
      figures_->layers[part.layer].kept =
          compressor_.compress(layers_[part.layer], part.input, part.scale, out);
      bytes_of.push_back(out.size() - begin);
    }
    std::size_t begin = first;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      keep_back(parts_[i], out.part(begin, bytes_of[i]));
      begin += bytes_of[i];
    }
    return bytes_of;
  }

  void unpack(const PackedBuffer& packed, const std::vector<std::size_t>& bytes_of, float factor) override {
    {
      const Timer timer(figures_->decompress_seconds);
      for (const Part& part : parts_) std::fill_n(part.gradient, layers_[part.layer].elements, 0.0F);
    }
    std::size_t begin = 0;
    for (std::size_t i = 0; i < bytes_of.size(); ++i) {
      const Part& part = parts_[i % parts_.size()];
      const Timer timer(figures_->decompress_seconds, &figures_->layers[part.layer].decompress_seconds);
      compressor_.decompress_add(layers_[part.layer], packed.part(begin, bytes_of[i]), part.scale, factor,
                                 part.gradient);
      begin += bytes_of[i];
    }
  }
  void scale(float factor) override {
    const Timer timer(figures_->decompress_seconds);
    for (const Part& part : parts_)
      compression_kernels().scale(factor, layers_[part.layer].elements, part.gradient);
  }

  std::vector<float*> residuals() override { return places(residuals_); }
  std::vector<float*> velocities() override { return places(velocities_); }

 private:
  struct Part {
    std::size_t layer;
    float* gradient;
    const float* input;
    float scale;
  };

  Timer compressing(std::size_t layer) {
    return Timer(figures_->compress_seconds, &figures_->layers[layer].compress_seconds);
  }

  static std::vector<float*> places(std::vector<std::vector<float>>& all) {
    std::vector<float*> places;
    for (std::vector<float>& one : all) places.push_back(one.data());
    return places;
  }

  /// What is to be compressed.
  const float* input_of(const ReadyGradient& ready) {
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

  void keep_back(const Part& part, std::span<const std::byte> packed) {
    const Layer& layer = layers_[part.layer];
    const auto count = static_cast<std::size_t>(layer.elements);
    const double norm = measure_ ? square_norm(part.input, layer.elements) : 0;
    float* left = nullptr;  // The input without what was sent.
    if (options_.error_feedback) {
      left = residuals_[part.layer].data();
    } else if (measure_) {
      left = dense_.resize(count);
      if (count > 0) std::memcpy(left, part.input, count * sizeof *left);
    }
    if (left) {
      const Timer timer = compressing(part.layer);
      compressor_.decompress_add(layer, packed, part.scale, -1, left);
    }
    if (options_.momentum != 0) {
      const Timer timer = compressing(part.layer);
      float* sent = dense_.resize(count);
      std::fill_n(sent, layer.elements, 0.0F);
      compressor_.decompress_add(layer, packed, part.scale, 1, sent);
      float* velocity = velocities_[part.layer].data();
      for (std::int64_t i = 0; i < layer.elements; ++i) velocity[i] = sent[i] != 0 ? 0 : velocity[i];
    }
    if (!measure_) return;
    const double error = square_norm(left, layer.elements);
    figures_->layers[part.layer].error = relative_error(error, norm);
    error_square_ += error;
    norm_square_ += norm;
  }

  Compressor& compressor_;
  const std::vector<Layer>& layers_;
  const JoinOptions& options_;
  std::vector<std::vector<float>> residuals_, velocities_;  ///< a layer each, or empty
  std::vector<Part> parts_;
  GrowingBuffer<float> dense_;
  bool measure_ = false;
  double error_square_ = 0, norm_square_ = 0;
  StepCompression* figures_ = nullptr;
};

}  // namespace

std::unique_ptr<GradientPacker> make_host_packer(Compressor& forms, const std::vector<Layer>& layers,
                                                 const JoinOptions& options) {
  return std::make_unique<HostPacker>(forms, layers, options);
}

}  // namespace muster::workloads
