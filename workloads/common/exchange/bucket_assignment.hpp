#pragma once
/// Which gradients travel together. The order in which gradients are summed depends on it, so it is state.

#include <cstddef>
#include <string>
#include <vector>

namespace muster::workloads {

/// Buckets in the order in which they are exchanged; each holds indices into the list of parameters.
struct BucketAssignment {
  std::vector<std::vector<std::size_t>> buckets;
  /// The first backward pass has been watched and the buckets follow the order in which gradients become
  /// ready.
  bool settled = false;

  bool operator==(const BucketAssignment&) const = default;
};

/// "settled 3,2;1,0": for a checkpoint's metadata.
std::string to_text(const BucketAssignment& assignment);

/// Reads to_text's form for a network of `parameters` parameters. Throws Error(checkpoint) where the text is
/// damaged or does not name every parameter exactly once.
BucketAssignment bucket_assignment_from(const std::string& text, std::size_t parameters);

}  // namespace muster::workloads
