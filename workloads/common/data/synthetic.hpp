#pragma once
/// Images made from a seed, in CIFAR's shape: a data set that needs no download and that a network must work
/// to learn.

#include <cstdint>

#include "workloads/common/data/image_set.hpp"

namespace muster::workloads {

struct SyntheticOptions {
  std::int64_t classes = 10;
  std::int64_t train_images = 8192;
  std::int64_t test_images = 2048;
  std::uint64_t seed = 0;
};

/// Each class has a texture (two coloured gratings of its own directions and wave lengths) and a shape that
/// shows it, on the ground of another class. Each image places, scales and lights them anew, and adds noise.
/// Class sizes are equal to within one. The same bits on every machine: integer arithmetic over counter-based
/// draws. Throws Error(config) for less than 2 classes or more than 1000, or fewer images than classes.
Dataset make_synthetic(const SyntheticOptions& options);

}  // namespace muster::workloads
