#pragma once
/// A Split in files. docs/experts.md has the format.

#include <filesystem>
#include <span>

#include "workloads/common/data/image_set.hpp"
#include "workloads/common/data/split.hpp"

namespace muster::workloads {

/// Writes `expert_I_indices`, `fusion_holdout_indices`, `fusion_train_indices` and `validation_indices`, each
/// as .npy and .txt, then `split.json`. Throws Error(storage).
void write_split(const std::filesystem::path& folder, const Split& split, const Dataset& data,
                 const SplitOptions& options);

/// The split that a folder holds, checked: every index, every overlap (check_split), and that it was made for
/// these training images in this order. Throws Error(data) else.
Split read_split(const std::filesystem::path& folder, const Dataset& data);

/// Copies of the images with these indices, in their order.
ImageSet images_of(const ImageSet& set, std::span<const std::int64_t> indices);

/// Of all training images outside of the hold-out: by these experts and their fusions normalise, so that
/// neither validation nor test images have any part in training.
ChannelStatistics statistics_of(const Split& split, const ImageSet& train);

}  // namespace muster::workloads
