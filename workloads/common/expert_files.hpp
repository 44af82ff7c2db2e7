#pragma once
/// Experts as files: what a training of one leaves, and what a fusion reads and writes.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "workloads/common/data/image_set.hpp"
#include "workloads/common/models/feature_network.hpp"

namespace muster::workloads {

/// What an expert's file says of itself in its metadata.
struct ExpertFile {
  std::filesystem::path path;
  std::string network;          ///< as make_feature_network names it
  double width = 1;             ///< times the channels of every layer
  std::int64_t image_side = 0;  ///< pixels to which it resizes images; 0: as they are
  std::optional<ChannelStatistics>
      statistics;  ///< by which its images were normalised; nullopt: it does not say
};

/// Looks at the files, in order, and at no tensor yet. `network` is what all must be of, or "mixed"; of a
/// file that does not say, the network is `network` and the width `width`. Throws Error(config) for less than
/// two, Error(data), naming the file: one that is missing or is none of weights, another network than asked
/// for, none said where it is "mixed", another number of classes than `classes`.
std::vector<ExpertFile> look_at_experts(const std::vector<std::string>& paths, const std::string& network,
                                        double width, std::int64_t classes);

/// One such file, which must say its network.
ExpertFile look_at_expert(const std::string& path, std::int64_t classes);

/// The network with the file's weights, in the type that the parameters shall have. Throws Error(data) for
/// every tensor that is missing, left over or of another shape.
std::shared_ptr<FeatureNetwork> load_expert(const ExpertFile& file, std::int64_t classes, torch::Dtype type);

/// Metadata of an expert's file, as look_at_experts reads it.
std::map<std::string, std::string> expert_metadata(const ExpertFile& expert, std::int64_t classes);

/// What `network` can be: "mixed", then feature_network_names().
std::vector<std::string> expert_network_choices();

}  // namespace muster::workloads
