#pragma once
/// One maker a method, each in the file of its name. They throw Error(config) for options out of range.

#include <cstdint>
#include <memory>

#include "workloads/common/compression/compressor.hpp"

namespace muster::workloads {

/// What draws of one rank are keyed by.
struct DrawSource {
  std::uint64_t seed = 0;
  int rank = 0;
};

/// What randomk multiplies the kept elements by.
inline float randomk_factor(bool unbiased, std::int64_t elements, std::int64_t kept) {
  return unbiased && kept > 0 ? static_cast<float>(static_cast<double>(elements) / static_cast<double>(kept))
                              : 1;
}

/// The gradient itself.
std::unique_ptr<Compressor> make_none(const CompressionOptions& options, const DrawSource& source);
/// IEEE half precision, rounded to nearest; sums are rounded at every addition.
std::unique_ptr<Compressor> make_fp16(const CompressionOptions& options, const DrawSource& source);
/// The upper half of a float, rounded to nearest; likewise.
std::unique_ptr<Compressor> make_bf16(const CompressionOptions& options, const DrawSource& source);
/// The k elements of largest magnitude; of equal ones those of the lowest index (Aji and Heafield 2017).
std::unique_ptr<Compressor> make_topk(const CompressionOptions& options, const DrawSource& source);
/// k elements drawn without replacement, the same on every rank (Stich et al. 2018).
std::unique_ptr<Compressor> make_randomk(const CompressionOptions& options, const DrawSource& source);
/// Elements of magnitude `threshold` or more (Dutta et al. 2020).
std::unique_ptr<Compressor> make_thresholdv(const CompressionOptions& options, const DrawSource& source);
/// sign * scale * Bernoulli(magnitude / scale), scale the ranks' largest magnitude (Wen et al. 2017).
std::unique_ptr<Compressor> make_terngrad(const CompressionOptions& options, const DrawSource& source);
/// Magnitudes rounded at random to multiples of norm / levels (Alistarh et al. 2017).
std::unique_ptr<Compressor> make_qsgd(const CompressionOptions& options, const DrawSource& source);
/// A matrix of low rank by one subspace iteration from the last step's (Vogels et al. 2019).
std::unique_ptr<Compressor> make_powersgd(const CompressionOptions& options, const DrawSource& source);

}  // namespace muster::workloads
