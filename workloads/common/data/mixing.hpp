#pragma once
/// Training images mixed of two, with targets to match: mixup and CutMix.

#include <torch/torch.h>

#include <cstdint>
#include <span>
#include <vector>

#include "core/workload_schema.hpp"
#include "workloads/common/data/augmentation.hpp"

namespace muster::workloads {

/// Each alpha is in [0, 1]; 0: not this kind. With both, each image draws which: one half each.
struct MixingOptions {
  double mixup = 0;  ///< two images are averaged, with a share from Beta(alpha, alpha) (Zhang et al. 2018)
  double cutmix =
      0;  ///< a box of one is put into the other, its area from Beta(alpha, alpha) (Yun et al. 2019)

  bool on() const { return mixup > 0 || cutmix > 0; }
};

/// `mix.mixup` and `mix.cutmix`, by default `defaults`, and their values.
std::vector<ParameterSpec> mixing_parameter_specs(const MixingOptions& defaults);
MixingOptions read_mixing(const Parameters& values);

/// What becomes of one image.
struct Mixture {
  std::int64_t partner = 0;  ///< the other image
  double share = 1;          ///< of the image's own label; the rest is the partner's
  bool cut = false;          ///< CutMix: rows [top, bottom) and columns [left, right) are the partner's
  int top = 0, bottom = 0, left = 0, right = 0;
};

/// A function of its arguments: neither ranks, batches nor a resume change it. The partner is any of the
/// `samples` images that are trained on; a batch of one rank need not hold it.
Mixture draw_mixture(const MixingOptions& options, std::uint64_t seed, std::int64_t epoch,
                     std::int64_t sample, std::int64_t samples);

struct MixedBatch {
  torch::Tensor images;   ///< as training_batch's
  torch::Tensor targets;  ///< fp64 [n, classes], rows sum to 1
};

/// Augmented images of the samples, each mixed with another of `set`, augmented likewise.
MixedBatch mixed_batch(const BatchMaker& batches, const ImageSet& set, std::span<const std::int64_t> samples,
                       std::int64_t epoch, std::int64_t classes, const MixingOptions& options,
                       std::uint64_t seed);

}  // namespace muster::workloads
