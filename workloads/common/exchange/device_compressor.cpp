#include "workloads/common/exchange/device_compressor.hpp"

#include <ATen/ATen.h>

#include <bit>
#include <map>

#include "workloads/common/compression/cast.hpp"
#include "workloads/common/compression/quantiser.hpp"
#include "workloads/common/compression/sparse.hpp"
#include "workloads/common/counter_random.hpp"

namespace muster::workloads {
namespace {

std::uint32_t* words(std::byte* packed) { return reinterpret_cast<std::uint32_t*>(packed); }
const std::uint32_t* words(const std::byte* packed) { return reinterpret_cast<const std::uint32_t*>(packed); }

/// Indices, then values.
class Sparse : public DeviceCompressor {
 public:
  explicit Sparse(const DeviceCompression& kernels) : kernels_(kernels) {}
  void decompress_add(const Layer&, const std::byte* packed, std::size_t bytes, const float*, float factor,
                      float* out, DeviceCall call) override {
    const auto kept = static_cast<std::int64_t>(bytes / sparse_bytes(1));
    kernels_.scatter_add(words(packed), reinterpret_cast<const float*>(words(packed) + kept), kept, factor,
                         out, call);
  }

 protected:
  const DeviceCompression& kernels_;
};

class TopK final : public Sparse {
 public:
  using Sparse::Sparse;
  std::size_t room(const Layer& layer) const override {
    return sparse_bytes(kept_elements(layer.elements, ratio_));
  }
  void compress(const Layer& layer, const float* x, const float*, std::byte* packed,
                DeviceCall call) override {
    kernels_.largest_k(x, layer.elements, kept_elements(layer.elements, ratio_), words(packed), call);
  }
};

class ThresholdV final : public Sparse {
 public:
  ThresholdV(const DeviceCompression& kernels, double threshold)
      : Sparse(kernels), floor_(std::bit_cast<std::uint32_t>(static_cast<float>(threshold))) {}
  std::size_t room(const Layer& layer) const override { return sparse_bytes(layer.elements); }
  void compress(const Layer& layer, const float* x, const float*, std::byte* packed,
                DeviceCall call) override {
    kernels_.threshold(x, layer.elements, floor_, words(packed), call);
  }

 private:
  std::uint32_t floor_;
};

class RandomK final : public DeviceCompressor {
 public:
  RandomK(const DeviceCompression& kernels, bool unbiased, std::uint64_t seed, c10::Device gpu)
      : kernels_(kernels),
        unbiased_(unbiased),
        seed_(seed),
        words_(at::TensorOptions(at::kInt).device(gpu)) {}

  void begin_step(std::uint32_t step, double ratio) override {
    DeviceCompressor::begin_step(step, ratio);
    chosen_.clear();
  }
  std::size_t room(const Layer& layer) const override {
    return static_cast<std::size_t>(kept_elements(layer.elements, ratio_)) * sizeof(float);
  }
  void compress(const Layer& layer, const float* x, const float*, std::byte* packed,
                DeviceCall call) override {
    const std::int64_t kept = kept_elements(layer.elements, ratio_);
    kernels_.inspect(x, layer.elements, call);
    kernels_.gather(x, chosen(layer, call), kept, randomk_factor(unbiased_, layer.elements, kept),
                    reinterpret_cast<float*>(packed), call);
  }
  void decompress_add(const Layer& layer, const std::byte* packed, std::size_t bytes, const float*,
                      float factor, float* out, DeviceCall call) override {
    kernels_.scatter_add(chosen(layer, call), reinterpret_cast<const float*>(packed),
                         static_cast<std::int64_t>(bytes / sizeof(float)), factor, out, call);
  }

 private:
  const std::uint32_t* chosen(const Layer& layer, DeviceCall call) {
    const auto [place, fresh] = chosen_.try_emplace(layer.index);
    if (fresh) {
      const std::int64_t kept = kept_elements(layer.elements, ratio_);
      place->second = at::empty({kept}, words_);
      const at::Tensor drawn = at::empty({layer.elements}, words_);
      kernels_.choose({seed_, layer.index, step_, static_cast<std::uint32_t>(RandomStream::selection)},
                      layer.elements, kept, static_cast<std::uint32_t*>(drawn.mutable_data_ptr()),
                      static_cast<std::uint32_t*>(place->second.mutable_data_ptr()), call);
    }
    return static_cast<const std::uint32_t*>(place->second.const_data_ptr());
  }

  const DeviceCompression& kernels_;
  bool unbiased_;
  std::uint64_t seed_;
  at::TensorOptions words_;
  std::map<std::uint32_t, at::Tensor> chosen_;  ///< indices of this step, by layer
};

class TernGrad final : public DeviceCompressor {
 public:
  TernGrad(const DeviceCompression& kernels, double clip, const DrawSource& source)
      : kernels_(kernels), clip_(clip), source_(source) {}
  std::size_t room(const Layer& layer) const override { return code_bytes(layer.elements, code_bits(1)); }
  void own_scale(const Layer& layer, const float* x, float* scale, DeviceCall call) override {
    kernels_.ternary_scale(x, layer.elements, clip_, scale, call);
  }
  void compress(const Layer& layer, const float* x, const float* scale, std::byte* packed,
                DeviceCall call) override {
    kernels_.quantise(x, layer.elements, quantisation(layer, scale), scale + 1,
                      reinterpret_cast<std::uint8_t*>(packed), call);
  }
  void decompress_add(const Layer& layer, const std::byte* packed, std::size_t, const float* scale,
                      float factor, float* out, DeviceCall call) override {
    kernels_.dequantise_add(reinterpret_cast<const std::uint8_t*>(packed), layer.elements,
                            quantisation(layer, scale), factor, out, call);
  }

 private:
  Quantisation quantisation(const Layer& layer, const float* scale) const {
    Quantisation how = quantisation_of(source_, layer, step_, 1);
    how.scales = scale;
    return how;
  }

  const DeviceCompression& kernels_;
  double clip_;
  DrawSource source_;
};

/// Norms, then codes.
class Qsgd final : public DeviceCompressor {
 public:
  Qsgd(const DeviceCompression& kernels, const CompressionOptions& options, const DrawSource& source)
      : kernels_(kernels),
        levels_(static_cast<std::uint32_t>(options.levels)),
        bucket_(options.bucket),
        source_(source) {}
  std::size_t room(const Layer& layer) const override {
    return norm_bytes(layer) + code_bytes(layer.elements, code_bits(levels_));
  }
  void compress(const Layer& layer, const float* x, const float*, std::byte* packed,
                DeviceCall call) override {
    kernels_.norms(x, layer.elements, bucket_, reinterpret_cast<float*>(packed), call);
    kernels_.quantise(x, layer.elements, quantisation(layer, packed), nullptr,
                      reinterpret_cast<std::uint8_t*>(packed + norm_bytes(layer)), call);
  }
  void decompress_add(const Layer& layer, const std::byte* packed, std::size_t, const float*, float factor,
                      float* out, DeviceCall call) override {
    kernels_.dequantise_add(reinterpret_cast<const std::uint8_t*>(packed + norm_bytes(layer)), layer.elements,
                            quantisation(layer, packed), factor, out, call);
  }

 private:
  std::size_t norm_bytes(const Layer& layer) const {
    return qsgd_norms(layer.elements, bucket_) * sizeof(float);
  }
  Quantisation quantisation(const Layer& layer, const std::byte* packed) const {
    Quantisation how = quantisation_of(source_, layer, step_, levels_);
    how.bucket = bucket_;
    how.scales = reinterpret_cast<const float*>(packed);
    return how;
  }

  const DeviceCompression& kernels_;
  std::uint32_t levels_;
  std::int64_t bucket_;
  DrawSource source_;
};

class Cast final : public DeviceCompressor {
 public:
  using Pack = decltype(DeviceCompression::to_half);
  using Add = decltype(DeviceCompression::add_half);
  Cast(Pack pack, Add add, std::uint32_t overflow) : pack_(pack), add_(add), overflow_(overflow) {}
  std::size_t room(const Layer& layer) const override {
    return static_cast<std::size_t>(layer.elements) * sizeof(std::uint16_t);
  }
  void compress(const Layer& layer, const float* x, const float*, std::byte* packed,
                DeviceCall call) override {
    pack_(x, layer.elements, reinterpret_cast<std::uint16_t*>(packed), call);
  }
  void decompress_add(const Layer& layer, const std::byte* packed, std::size_t, const float*, float factor,
                      float* out, DeviceCall call) override {
    add_(reinterpret_cast<const std::uint16_t*>(packed), layer.elements, factor, out, call);
  }
  std::uint32_t overflow() const override { return overflow_; }

 private:
  Pack pack_;
  Add add_;
  std::uint32_t overflow_;
};

}  // namespace

std::unique_ptr<DeviceCompressor> make_device_compressor(const DeviceCompression& kernels,
                                                         const CompressionOptions& options,
                                                         const DrawSource& source, c10::Device gpu) {
  const std::string& method = options.method;
  if (method == "topk") return std::make_unique<TopK>(kernels);
  if (method == "thresholdv") return std::make_unique<ThresholdV>(kernels, options.threshold);
  if (method == "randomk") return std::make_unique<RandomK>(kernels, options.unbiased, source.seed, gpu);
  if (method == "terngrad") return std::make_unique<TernGrad>(kernels, options.clip, source);
  if (method == "qsgd") return std::make_unique<Qsgd>(kernels, options, source);
  if (method == "fp16") return std::make_unique<Cast>(kernels.to_half, kernels.add_half, kFp16Overflow);
  if (method == "bf16") return std::make_unique<Cast>(kernels.to_bf16, kernels.add_bf16, kBf16Overflow);
  return nullptr;
}

}  // namespace muster::workloads
