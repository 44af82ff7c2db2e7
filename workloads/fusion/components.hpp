#pragma once
/// A trained fusion as files that can be loaded apart. docs/fusion.md has the format.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "workloads/common/evaluation.hpp"
#include "workloads/common/expert_files.hpp"
#include "workloads/common/optimiser.hpp"
#include "workloads/fusion/fusion_network.hpp"

namespace muster::workloads {

/// What a fusion's files say beside the weights.
struct FusionDescription {
  std::vector<ExpertFile> experts;  ///< in order
  std::string fusion;               ///< as make_fusion_module names it
  FusionOptions options;
  std::int64_t classes = 0;
};

/// The epoch that counts so far: the highest validation accuracy of the global head, then the lowest loss.
struct BestEpoch {
  std::int64_t epoch = 0;  ///< counts from 1; 0: none yet
  double accuracy = 0;
  double loss = 0;
  std::vector<double> expert_accuracy;  ///< of each expert's own head

  bool is_beaten_by(const Evaluation& global) const;
};

/// Writes `experts/expert_I.safetensors`, `fusion/fusion.safetensors` and `global/global.safetensors` below
/// `folder`, each aside, fsynced and renamed. `tensors` are a FusionNetwork's, with its names. Throws
/// Error(storage).
void write_components(const std::filesystem::path& folder, const NamedTensors& tensors,
                      const FusionDescription& description, const BestEpoch& best);

/// The files of a folder, looked at: what they say, with the experts' paths. Throws Error(data) for a
/// component that is missing, damaged, or of another epoch than the others.
FusionDescription look_at_components(const std::filesystem::path& folder);

/// The whole fusion with the weights of the folder that was looked at. Throws Error(data) for a tensor that
/// is missing, left over or of another shape.
std::unique_ptr<FusionNetwork> load_components(const std::filesystem::path& folder,
                                               const FusionDescription& description, torch::Dtype type);

}  // namespace muster::workloads
