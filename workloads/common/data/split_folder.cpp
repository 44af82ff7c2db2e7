#include "workloads/common/data/split_folder.hpp"

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/checksum.hpp"
#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/index_file.hpp"

namespace muster::workloads {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;
using Indices = std::vector<std::int64_t>;

constexpr int kFormat = 1;
constexpr const char* kDescription = "split.json";
constexpr const char* kHoldout = "fusion_holdout";
constexpr const char* kFusionTrain = "fusion_train";
constexpr const char* kValidation = "validation";
constexpr const char* kMakeAnew = "make the split anew with the split workload";

std::string expert_name(std::size_t expert) { return "expert_" + std::to_string(expert); }

std::span<const std::byte> bytes_of(const torch::Tensor& tensor) {
  MUSTER_ASSERT(tensor.is_contiguous());
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// Of images and labels in their order, whichever layout they were read from.
std::string digest_of(const ImageSet& set) {
  StreamingChecksum checksum;
  checksum.add(bytes_of(set.images));
  checksum.add(bytes_of(set.labels));
  return checksum.hex();
}

void write_part(const fs::path& folder, const std::string& name, const Indices& indices) {
  write_indices(folder / (name + "_indices.npy"), indices);
  write_indices(folder / (name + "_indices.txt"), indices);
}

struct Description {
  std::string data;
  std::int64_t images = 0;
  std::string digest;
  std::int64_t holdout = 0, fusion_train = 0, validation = 0;  ///< how many images
  std::vector<std::int64_t> experts;
};

Description read_description(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) {
    throw Error(
        ExitCode::data, "'" + file.parent_path().string() + "' is no split: it has no " + kDescription,
        "make one with the split workload; its parameter holdout takes over a hold-out that is there");
  }
  const std::string text = read_text(file);
  try {
    const Json json = Json::parse(text);
    if (json.at("format").get<int>() != kFormat)
      throw Error(ExitCode::data, "it is of another version", kMakeAnew, SourcePlace{file});
    const Json& counts = json.at("counts");
    return {.data = json.at("data").get<std::string>(),
            .images = json.at("images").get<std::int64_t>(),
            .digest = json.at("digest").get<std::string>(),
            .holdout = counts.at("holdout").get<std::int64_t>(),
            .fusion_train = counts.at("fusion_train").get<std::int64_t>(),
            .validation = counts.at("validation").get<std::int64_t>(),
            .experts = counts.at("experts").get<std::vector<std::int64_t>>()};
  } catch (const Json::exception& error) {
    throw Error(ExitCode::data, std::string("it is damaged: ") + error.what(), kMakeAnew, SourcePlace{file});
  }
}

Indices read_part(const fs::path& folder, const std::string& name, std::int64_t count, std::int64_t images) {
  const fs::path file = folder / (name + "_indices.npy");
  Indices indices = read_indices(file, images);
  if (indices.empty() || std::ssize(indices) != count) {
    throw Error(ExitCode::data,
                "it holds " + std::to_string(indices.size()) + " indices, but " + kDescription + " says " +
                    std::to_string(count),
                kMakeAnew, SourcePlace{file});
  }
  return indices;
}

}  // namespace

void write_split(const fs::path& folder, const Split& split, const Dataset& data,
                 const SplitOptions& options) {
  Json counts{{"holdout", split.holdout.size()},
              {"fusion_train", split.fusion_train.size()},
              {"validation", split.validation.size()},
              {"experts", Json::array()}};
  for (std::size_t i = 0; i < split.experts.size(); ++i) {
    write_part(folder, expert_name(i), split.experts[i]);
    counts["experts"].push_back(split.experts[i].size());
  }
  write_part(folder, kHoldout, split.holdout);
  write_part(folder, kFusionTrain, split.fusion_train);
  write_part(folder, kValidation, split.validation);
  const Json description{{"format", kFormat},
                         {"data", data.name},
                         {"classes", data.classes},
                         {"images", data.train.size()},
                         {"digest", digest_of(data.train)},
                         {"seed", options.seed},
                         {"counts", counts}};
  write_durably(folder / kDescription, description.dump(2) + "\n");
}

Split read_split(const fs::path& folder, const Dataset& data) {
  const Description description = read_description(folder / kDescription);
  if (description.images != data.train.size() || description.digest != digest_of(data.train)) {
    throw Error(ExitCode::data,
                "'" + folder.string() + "' divides other training images: " +
                    std::to_string(description.images) + " of " + description.data + ", not these " +
                    std::to_string(data.train.size()) + " of " + data.name,
                "give the data.* parameters that the split was made with, or make it anew");
  }
  const auto part = [&](const std::string& name, std::int64_t count) {
    return read_part(folder, name, count, description.images);
  };
  Split split;
  for (std::size_t i = 0; i < description.experts.size(); ++i)
    split.experts.push_back(part(expert_name(i), description.experts[i]));
  split.holdout = part(kHoldout, description.holdout);
  split.fusion_train = part(kFusionTrain, description.fusion_train);
  split.validation = part(kValidation, description.validation);
  check_split(split, "'" + folder.string() + "'");
  return split;
}

ImageSet images_of(const ImageSet& set, std::span<const std::int64_t> indices) {
  const auto chosen = torch::empty({std::ssize(indices)}, torch::kInt64);
  std::copy(indices.begin(), indices.end(), chosen.data_ptr<std::int64_t>());
  return {set.images.index_select(0, chosen), set.labels.index_select(0, chosen)};
}

ChannelStatistics statistics_of(const Split& split, const ImageSet& train) {
  std::vector<bool> held(static_cast<std::size_t>(train.size()), false);
  for (const std::int64_t image : split.holdout) held[static_cast<std::size_t>(image)] = true;
  Indices outside;
  for (std::int64_t i = 0; i < train.size(); ++i) {
    if (!held[static_cast<std::size_t>(i)]) outside.push_back(i);
  }
  return channel_statistics(images_of(train, outside));
}

}  // namespace muster::workloads
