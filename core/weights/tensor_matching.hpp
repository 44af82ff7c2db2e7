#pragma once
/// Which tensor of a file belongs to which parameter of a network, and what is left on either side.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "core/safetensors.hpp"

namespace muster {

/// What a network wants: a parameter or a running statistic.
struct WantedTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};

/// Which differences are meant, by names with `*` for any characters: a network's for unfilled and different
/// shapes (which stay unfilled), a file's for unused.
struct MatchingRules {
  std::vector<std::string> may_be_unused;
  std::vector<std::string> may_be_unfilled;
  std::vector<std::string> may_differ;
};

struct TensorMatch {
  std::size_t wanted = 0;
  std::size_t tensor = 0;
};

struct Matching {
  std::vector<TensorMatch> matches;           ///< in the network's order
  std::vector<std::string> unused;            ///< of the file
  std::vector<std::string> unfilled;          ///< of the network
  std::vector<std::string> different_shapes;  ///< "fc.weight: 1000x512 in the file, 100x512 in the network"
  std::vector<std::string> not_allowed;       ///< lines for those of the three that the rules do not name
  std::string prefix;                         ///< what stood before every name in the file

  /// "61 of 62 tensors filled; unused: …"
  std::string summary() const;
};

/// Names are compared after what wrappers put before them (`module.`, `_orig_mod.`, `model.`, `backbone.`,
/// `net.`, `encoder.`) is taken off, whichever of these fits most names, and after the dialects of
/// torchvision, timm and the CIFAR networks are brought to torchvision's: `shortcut` and `downsample`,
/// `linear`, `classifier`, `head.fc` and `fc`. Counters of seen batches (`num_batches_tracked`) are not
/// looked at. Throws Error(data) where two tensors of the file would fill one parameter.
Matching match_tensors(const std::vector<WantedTensor>& wanted, const std::vector<TensorView>& tensors,
                       const MatchingRules& rules, const std::filesystem::path& file);

/// Throws Error(data) that names every difference which the rules do not allow.
void require_match(const Matching& matching, const std::filesystem::path& file);

}  // namespace muster
