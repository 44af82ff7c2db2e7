#include "workloads/common/compression/compressor.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "workloads/common/compression/methods.hpp"
#include "workloads/common/kernels/compression.hpp"

namespace muster::workloads {
namespace {

struct Method {
  const char* name;
  std::unique_ptr<Compressor> (*make)(const CompressionOptions&, const DrawSource&);
};

constexpr Method kMethods[] = {
    {"none", make_none},         {"fp16", make_fp16},       {"bf16", make_bf16},
    {"topk", make_topk},         {"randomk", make_randomk}, {"thresholdv", make_thresholdv},
    {"terngrad", make_terngrad}, {"qsgd", make_qsgd},       {"powersgd", make_powersgd}};

}  // namespace

const std::vector<std::string>& compressor_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Method& method : kMethods) all.emplace_back(method.name);
    return all;
  }();
  return names;
}

std::unique_ptr<Compressor> make_compressor(const CompressionOptions& options, std::uint64_t seed, int rank) {
  for (const Method& method : kMethods) {
    if (options.method == method.name) return method.make(options, {seed, rank});
  }
  throw Error(ExitCode::config, "no gradient compressor is called '" + options.method + "'",
              "use none, fp16, bf16, topk, randomk, thresholdv, terngrad, qsgd or powersgd");
}

std::int64_t kept_elements(std::int64_t elements, double ratio) {
  if (elements == 0) return 0;
  const auto kept = static_cast<std::int64_t>(std::floor(static_cast<double>(elements) * ratio));
  return std::clamp<std::int64_t>(kept, 1, elements);
}

double square_norm(const float* x, std::int64_t count) {
  double sum = 0, squares = 0;
  compression_kernels().moments(x, count, &sum, &squares);
  return squares;
}

double relative_error(double error_square, double norm_square) {
  return norm_square > 0 ? std::sqrt(error_square / norm_square) : 0;
}

void require_finite(const Layer& layer, const float* gradient, std::uint32_t step) {
  if (compression_kernels().largest_magnitude(gradient, layer.elements) >= 0x7F800000) {
    throw_not_finite(layer, step);
  }
}

void throw_not_finite(const Layer& layer, std::uint32_t step) {
  throw Error(ExitCode::diverged,
              "the gradient of " + layer.name + " is NaN or too large at step " + std::to_string(step + 1),
              "lower lr or lengthen the warm-up; the same parameters diverge again at the same step");
}

}  // namespace muster::workloads
