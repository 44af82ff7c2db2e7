#pragma once
/// The division of a training set among experts and their fusion.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace muster::workloads {

/// Indices into a training set, each list rising.
struct Split {
  std::vector<std::vector<std::int64_t>> experts;  ///< what each trains on
  std::vector<std::int64_t> holdout;               ///< no expert trains on these
  std::vector<std::int64_t> fusion_train;          ///< of the hold-out: what a fusion trains on
  std::vector<std::int64_t> validation;            ///< the rest of it, by which epochs are compared
};

struct SplitOptions {
  std::int64_t experts = 4;
  double holdout = 0.2;     ///< share of all images
  double shared = 0.5;      ///< of the images outside of the hold-out, the share that every expert trains on;
                            ///< they divide the rest evenly
  double validation = 0.2;  ///< share of the hold-out
  std::uint64_t seed = 0;
};

/// Every part has each class's share of its images, to within one image. `labels` are the whole training
/// set's, each within [0, classes). A `holdout` that is given counts instead of the share. Throws
/// Error(config) where a part would be empty.
Split make_split(std::span<const std::int64_t> labels, std::int64_t classes, const SplitOptions& options,
                 const std::optional<std::vector<std::int64_t>>& holdout = std::nullopt);

/// Throws Error(data), naming the parts and an image, where an expert's images are held out, validation and
/// what a fusion trains on overlap, or the two are not the hold-out. `origin` is for the message.
void check_split(const Split& split, const std::string& origin);

}  // namespace muster::workloads
