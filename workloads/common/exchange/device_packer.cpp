#include "workloads/common/exchange/device_packer.hpp"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <utility>

#include "core/error.hpp"
#include "workloads/common/compression/compressor.hpp"
#include "workloads/common/compression/sparse.hpp"
#include "workloads/common/exchange/device_compressor.hpp"
#include "workloads/common/time_mark.hpp"

namespace muster::workloads {
namespace {

constexpr std::size_t kAligned = 16;

std::size_t aligned(std::size_t bytes) { return (bytes + kAligned - 1) / kAligned * kAligned; }

at::Tensor bytes_on(c10::Device device, std::size_t count) {
  return at::empty({static_cast<std::int64_t>(count)}, at::TensorOptions(at::kByte).device(device));
}

at::Tensor square_sum(const at::Tensor& x) { return x.to(at::kDouble).square().sum(); }

class DevicePacker final : public GradientPacker {
 public:
  DevicePacker(std::unique_ptr<DeviceCompressor> method, std::size_t scratch_bytes, c10::Device gpu,
               Compressor& forms, const std::vector<Layer>& layers, const JoinOptions& options)
      : method_(std::move(method)),
        gpu_(gpu),
        forms_(forms),
        layers_(layers),
        options_(options),
        scratch_(bytes_on(gpu, scratch_bytes)) {
    for (const Layer& layer : layers) {
      if (options.error_feedback) residuals_.push_back(at::zeros({layer.elements}, floats()));
      if (options.momentum != 0) velocities_.push_back(at::zeros({layer.elements}, floats()));
    }
  }

  void begin_step(std::uint32_t step, double ratio, bool measure, StepCompression& figures) override {
    method_->begin_step(step, ratio);
    step_ = step;
    measure_ = measure;
    figures_ = &figures;
    marks_.clear();
    squares_.clear();
  }

  void complete_figures() override {
    for (std::size_t i = 1; i < marks_.size(); ++i) {
      if (!marks_[i].sum) continue;
      const double seconds = marks_[i].at.seconds_since(marks_[i - 1].at);
      *marks_[i].sum += seconds;
      if (marks_[i].of_layer) *marks_[i].of_layer += seconds;
    }
    marks_.clear();
    if (squares_.empty()) return;
    double error_square = 0, norm_square = 0;
    for (const auto& [layer, norm, error] : squares_) {
      const auto of_norm = norm.item<double>(), of_error = error.item<double>();
      figures_->layers[layer].error = relative_error(of_error, of_norm);
      norm_square += of_norm;
      error_square += of_error;
    }
    squares_.clear();
    figures_->error = relative_error(error_square, norm_square);
  }

  void take_up(const std::vector<ReadyGradient>& ready) override {
    const at::NoGradGuard no_grad;
    parts_.clear();
    mark();
    for (const auto& [layer, place] : ready) {
      Part part{.layer = layer, .gradient = view_of(place, layers_[layer].elements, gpu_)};
      part.input = input_of(part);
      parts_.push_back(std::move(part));
      mark_compressed(layer);
    }
    const auto count = static_cast<std::int64_t>(parts_.size());
    scales_ = at::empty({count, 2}, floats());
    reports_ = at::zeros({count, 2}, floats().dtype(at::kInt));
  }

  std::vector<float> own_scales() override {
    const at::NoGradGuard no_grad;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      method_->own_scale(layer_of(i), input(i), scale_of(i), call(i));
      mark_compressed(parts_[i].layer);
    }
    const at::Tensor own = scales_.select(1, 0).cpu();
    require_finite_all();
    return {own.const_data_ptr<float>(), own.const_data_ptr<float>() + own.numel()};
  }

  std::vector<std::size_t> pack(const std::vector<float>& scales, PackedBuffer& out) override {
    const at::NoGradGuard no_grad;
    if (forms_.agrees_on_scale()) {
      const at::Tensor agreed = at::empty({static_cast<std::int64_t>(scales.size())}, at::kFloat);
      std::ranges::copy(scales, agreed.mutable_data_ptr<float>());
      scales_.select(1, 0).copy_(agreed);
    }
    std::vector<std::size_t> places;
    std::size_t room = 0;
    for (const Part& part : parts_) {
      places.push_back(room);
      room += aligned(method_->room(layers_[part.layer]));
    }
    const at::Tensor packed = bytes_on(gpu_, room);
    mark();
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      method_->compress(layer_of(i), input(i), scale_of(i), place_in(packed, places[i]), call(i));
      mark_compressed(parts_[i].layer);
    }
    const std::vector<std::size_t> bytes_of = sizes();
    copy_out(packed, places, bytes_of, out);
    mark(&figures_->compress_seconds);
    // While the packed forms travel.
    for (std::size_t i = 0; i < parts_.size(); ++i) keep_back(i, place_in(packed, places[i]), bytes_of[i]);
    return bytes_of;
  }

  void unpack(const PackedBuffer& packed, const std::vector<std::size_t>& bytes_of, float factor) override {
    const at::NoGradGuard no_grad;
    std::vector<std::size_t> places;
    std::size_t room = 0;
    for (const std::size_t bytes : bytes_of) {
      places.push_back(room);
      room += aligned(bytes);
    }
    const at::Tensor staged = bytes_on(c10::kCPU, room);
    std::size_t begin = 0;
    for (std::size_t i = 0; i < bytes_of.size(); ++i) {
      const auto part = packed.part(begin, bytes_of[i]);
      if (!part.empty())
        std::memcpy(static_cast<std::byte*>(staged.mutable_data_ptr()) + places[i], part.data(), part.size());
      begin += bytes_of[i];
    }
    mark();
    const at::Tensor received = staged.to(gpu_);
    for (const Part& part : parts_) part.gradient.zero_();
    mark(&figures_->decompress_seconds);
    for (std::size_t i = 0; i < bytes_of.size(); ++i) {
      const std::size_t at = i % parts_.size();
      if (bytes_of[i] > 0)
        method_->decompress_add(layer_of(at), place_in(received, places[i]), bytes_of[i], scale_of(at),
                                factor, parts_[at].gradient.mutable_data_ptr<float>(), call(at));
      mark(&figures_->decompress_seconds, &figures_->layers[parts_[at].layer].decompress_seconds);
    }
  }

  void scale(float factor) override {
    const at::NoGradGuard no_grad;
    mark();
    for (const Part& part : parts_) part.gradient.mul_(factor);
    mark(&figures_->decompress_seconds);
  }

  std::vector<float*> residuals() override { return places_of(residuals_); }
  std::vector<float*> velocities() override { return places_of(velocities_); }

 private:
  struct Part {
    std::size_t layer = 0;
    at::Tensor gradient, input;
  };
  /// What lies between a mark and the one before it is added to the sums.
  struct Mark {
    TimeMark at;
    double *sum, *of_layer;
  };
  struct Squares {
    std::size_t layer;
    at::Tensor norm, error;
  };

  at::TensorOptions floats() const { return at::TensorOptions(at::kFloat).device(gpu_); }
  const Layer& layer_of(std::size_t part) const { return layers_[parts_[part].layer]; }
  const float* input(std::size_t part) const { return parts_[part].input.const_data_ptr<float>(); }
  float* scale_of(std::size_t part) const { return scales_.mutable_data_ptr<float>() + 2 * part; }
  static std::byte* place_in(const at::Tensor& bytes, std::size_t place) {
    return static_cast<std::byte*>(bytes.mutable_data_ptr()) + place;
  }
  static std::vector<float*> places_of(const std::vector<at::Tensor>& tensors) {
    std::vector<float*> places;
    for (const at::Tensor& one : tensors) places.push_back(one.mutable_data_ptr<float>());
    return places;
  }

  DeviceCall call(std::size_t part) const {
    return {.stream = c10::impl::VirtualGuardImpl(gpu_.type()).getStream(gpu_).native_handle(),
            .scratch = scratch_.mutable_data_ptr(),
            .report = static_cast<DeviceReport*>(reports_.mutable_data_ptr()) + part};
  }

  void mark(double* sum = nullptr, double* of_layer = nullptr) {
    if (measure_) marks_.push_back({TimeMark(gpu_), sum, of_layer});
  }
  void mark_compressed(std::size_t layer) {
    mark(&figures_->compress_seconds, &figures_->layers[layer].compress_seconds);
  }

  /// What is to be compressed; see HostPacker.
  at::Tensor input_of(const Part& part) {
    if (!options_.error_feedback) return part.gradient;
    at::Tensor& residual = residuals_[part.layer];
    if (options_.momentum == 0) return residual.add_(part.gradient);
    at::Tensor& velocity = velocities_[part.layer];
    velocity.mul_(options_.momentum).add_(part.gradient);
    if (!options_.nesterov) return residual.add_(velocity);
    return residual.add_(part.gradient).add_(velocity, options_.momentum);
  }

  /// Waits. Returns what was reported.
  std::vector<DeviceReport> require_finite_all() const {
    const at::Tensor told = reports_.cpu();
    std::vector<DeviceReport> reports(parts_.size());
    std::memcpy(reports.data(), told.const_data_ptr(), told.nbytes());
    for (std::size_t i = 0; i < reports.size(); ++i)
      if (reports[i].largest >= method_->overflow()) throw_not_finite(layer_of(i), step_);
    return reports;
  }

  /// Of the packed forms. Waits for them.
  std::vector<std::size_t> sizes() {
    const std::vector<DeviceReport> reports = require_finite_all();
    std::vector<std::size_t> bytes_of;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      const std::int64_t kept = forms_.kept(layer_of(i)).value_or(reports[i].kept);
      figures_->layers[parts_[i].layer].kept = kept;
      bytes_of.push_back(forms_.packed_bytes(layer_of(i)).value_or(sparse_bytes(kept)));
    }
    return bytes_of;
  }

  static void copy_out(const at::Tensor& packed, const std::vector<std::size_t>& places,
                       const std::vector<std::size_t>& bytes_of, PackedBuffer& out) {
    std::vector<at::Tensor> pieces;
    for (std::size_t i = 0; i < places.size(); ++i)
      pieces.push_back(
          packed.narrow(0, static_cast<std::int64_t>(places[i]), static_cast<std::int64_t>(bytes_of[i])));
    const at::Tensor together = at::cat(pieces).cpu();
    std::byte* to = out.extend(together.nbytes());
    if (together.nbytes() > 0) std::memcpy(to, together.const_data_ptr(), together.nbytes());
  }

  void keep_back(std::size_t part, const std::byte* packed, std::size_t bytes) {
    const auto [layer, gradient, input] = parts_[part];
    const auto add_sent = [&](float factor, const at::Tensor& to) {
      if (bytes > 0)
        method_->decompress_add(layers_[layer], packed, bytes, scale_of(part), factor,
                                to.mutable_data_ptr<float>(), call(part));
    };
    at::Tensor norm, left;  // The input without what was sent.
    if (measure_) {
      norm = square_sum(input);
      mark();
    }
    if (options_.error_feedback) {
      left = input;
    } else if (measure_) {
      left = input.clone();
    }
    if (left.defined()) add_sent(-1, left);
    if (options_.momentum != 0) {
      const at::Tensor sent = at::zeros_like(input);
      add_sent(1, sent);
      velocities_[layer].masked_fill_(sent.ne(0), 0);
    }
    mark_compressed(layer);
    if (measure_) squares_.push_back({layer, norm, square_sum(left)});
  }

  std::unique_ptr<DeviceCompressor> method_;
  c10::Device gpu_;
  Compressor& forms_;
  const std::vector<Layer>& layers_;
  const JoinOptions& options_;
  at::Tensor scratch_;
  std::vector<at::Tensor> residuals_, velocities_;  ///< a layer each, or none
  std::vector<Part> parts_;
  at::Tensor scales_;   ///< of each part: the agreed scale, and where magnitudes are cut
  at::Tensor reports_;  ///< a DeviceReport of each part
  std::uint32_t step_ = 0;
  bool measure_ = false;
  StepCompression* figures_ = nullptr;
  std::deque<Mark> marks_;
  std::vector<Squares> squares_;
};

}  // namespace

at::Tensor view_of(float* values, std::int64_t count, c10::Device device) {
  return at::for_blob(values, {count})
      .options(at::TensorOptions(at::kFloat).device(device))
      .target_device(device)
      .make_tensor();
}

bool packs_on_device(const JoinOptions& options) {
  return options.transport == CompressedTransport::packed && options.compressor.method != "none" &&
         options.compressor.method != "powersgd";
}

std::unique_ptr<GradientPacker> make_device_packer(const DeviceCompression& kernels, c10::Device gpu,
                                                   const DrawSource& source, Compressor& forms,
                                                   const std::vector<Layer>& layers,
                                                   const JoinOptions& options) {
  MUSTER_ASSERT(packs_on_device(options));
  std::int64_t largest = 0;
  for (const Layer& layer : layers) {
    MUSTER_ASSERT(layer.elements > 0);
    largest = std::max(largest, layer.elements);
  }
  return std::make_unique<DevicePacker>(make_device_compressor(kernels, options.compressor, source, gpu),
                                        kernels.scratch_bytes(largest), gpu, forms, layers, options);
}

}  // namespace muster::workloads
