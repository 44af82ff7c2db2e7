#pragma once
/// Filters that whiten small patches of images.

#include "workloads/common/data/image_set.hpp"

namespace muster::workloads {

inline constexpr std::int64_t kPatchSide = 2;  ///< pixels
inline constexpr std::int64_t kPatchSize = kImageChannels * kPatchSide * kPatchSide;

/// Second moments E[v v'] over all 2x2 patches v of the first `images` images (all, where there are fewer),
/// normalised by `statistics`: fp64 [12, 12], in the order channel, row, column. The sums are of whole
/// numbers, so the same bits everywhere.
torch::Tensor patch_moments(const ImageSet& set, std::int64_t images, const ChannelStatistics& statistics);

/// The eigenvectors of the moments, each divided by the root of its eigenvalue plus `epsilon`, the greatest
/// eigenvalue first, and then their negatives: [24, 3, 2, 2] of the moments' type. A patch's answers have
/// variances of eigenvalue / (eigenvalue + epsilon) and no covariance (Jordan 2024, arXiv 2404.00498, after
/// Page 2019).
torch::Tensor whitening_filters(const torch::Tensor& moments, double epsilon);

}  // namespace muster::workloads
