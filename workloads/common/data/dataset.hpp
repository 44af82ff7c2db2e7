#pragma once
/// The data set that an experiment names.

#include <cstdint>
#include <string>

#include "workloads/common/data/image_set.hpp"

namespace muster::workloads {

struct DatasetOptions {
  std::string path = "synthetic";  ///< or a folder or archive of CIFAR-10 or -100
  std::int64_t samples = 0;        ///< training images; 0: all
  std::int64_t test_samples = 0;   ///< 0: all
  std::int64_t classes = 10;       ///< of the synthetic set
  std::uint64_t seed = 0;          ///< likewise
};

/// Throws as load_cifar and make_synthetic do.
Dataset load_dataset(const DatasetOptions& options);

}  // namespace muster::workloads
