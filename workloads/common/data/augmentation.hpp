#pragma once
/// From stored bytes to a batch that a network takes: crop, flip, cutout, normalise.

#include <cstdint>
#include <span>

#include "workloads/common/data/image_set.hpp"

namespace muster::workloads {

/// What training images go through. Evaluation images are only normalised.
struct AugmentationOptions {
  int crop_padding =
      4;  ///< pixels of the mean colour around the image before a random 32x32 crop; 0: no crop. At most 16
  bool flip = true;  ///< left to right, half of the time
  int cutout =
      8;  ///< side of a square set to the mean, wholly inside the image (DeVries and Taylor 2017); 0: none
  /// Flip by drawing for the first epoch alone; from then on every image is the other way round each epoch,
  /// so that two epochs show both (Jordan 2024). Only with `flip`.
  bool alternate_flip = false;
  bool reflect = false;  ///< pad with the image's own mirrored border in the place of the mean colour
};

/// Makes batches: channels-last [n, 3, 32, 32] of `dtype` (float, double or bfloat16), where the set's images
/// are: on the CPU, or on a GPU by a kernel, or LibTorch's operators where there is none; the bits are the
/// same. Draws are a function of (seed, epoch, sample), so neither ranks nor the split into batches change
/// them.
class BatchMaker {
 public:
  /// Throws Error(config) for options out of range.
  BatchMaker(const ChannelStatistics& statistics, torch::Dtype dtype, std::uint64_t seed,
             AugmentationOptions options = {}, bool by_kernels = true);

  /// Augmented images of the samples, in their order.
  torch::Tensor training_batch(const ImageSet& set, std::span<const std::int64_t> samples,
                               std::int64_t epoch) const;
  /// Samples [begin, end), normalised only.
  torch::Tensor evaluation_batch(const ImageSet& set, std::int64_t begin, std::int64_t end) const;

  /// Labels of the samples: int64 [n], in host memory.
  static torch::Tensor labels(const ImageSet& set, std::span<const std::int64_t> samples);

 private:
  torch::Dtype dtype_;
  std::uint64_t seed_;
  AugmentationOptions options_;
  bool by_kernels_;
  torch::Tensor values_;  ///< dtype [256, 3]: what a byte becomes in each channel
};

}  // namespace muster::workloads
