#include "workloads/common/expert_files.hpp"

#include <array>
#include <charconv>
#include <sstream>

#include "core/error.hpp"
#include "core/value.hpp"
#include "core/weights/weights_file.hpp"
#include "workloads/common/weights_loading.hpp"

namespace muster::workloads {
namespace {

using Metadata = std::map<std::string, std::string>;
using Channels = std::array<double, 3>;

constexpr const char* kMixed = "mixed";
constexpr const char* kNetwork = "model";
constexpr const char* kWidth = "width";
constexpr const char* kClasses = "classes";
constexpr const char* kResized = "image_side";
constexpr const char* kMean = "mean";
constexpr const char* kDeviation = "deviation";

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& problem,
                         const std::string& advice) {
  throw Error(ExitCode::data, "the expert '" + file.string() + "' " + problem, advice);
}

[[noreturn]] void refuse_value(const std::filesystem::path& file, const char* key, const std::string& value) {
  refuse(file, "says " + std::string(key) + " = '" + value + "' in its metadata, which is no number",
         "the file is damaged, or is not an expert's");
}

/// Nothing where the file does not say.
template <class Number>
std::optional<Number> number_in(const Metadata& metadata, const char* key,
                                const std::filesystem::path& file) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  Number value{};
  const char* end = found->second.data() + found->second.size();
  const auto [stop, problem] = std::from_chars(found->second.data(), end, value);
  if (problem != std::errc() || stop != end) refuse_value(file, key, found->second);
  return value;
}

std::optional<Channels> channels_in(const Metadata& metadata, const char* key,
                                    const std::filesystem::path& file) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) return std::nullopt;
  Channels channels{};
  std::istringstream text(found->second);
  for (double& value : channels) text >> value;
  if (!text) refuse_value(file, key, found->second);
  return channels;
}

std::string text_of(const Channels& channels) {
  std::string text;
  for (const double value : channels) text += (text.empty() ? "" : " ") + Value(value).canonical();
  return text;
}

ExpertFile look_at(const std::string& path, const std::string& network, double width, std::int64_t classes) {
  ExpertFile file{.path = path, .network = network, .width = width, .image_side = 0, .statistics = {}};
  if (path.empty() || !std::filesystem::is_regular_file(file.path)) {
    refuse(file.path, "is not there (a fusion is of the weights of trained experts)",
           "train it with the experts workload, or give the path of its expert_best.safetensors");
  }
  const Metadata metadata = WeightsFile(file.path).metadata();
  const auto said = metadata.find(kNetwork);
  if (said == metadata.end() && network == kMixed) {
    refuse(file.path, "does not say which network it is of", "give network, and width where it is not 1");
  }
  if (said != metadata.end()) {
    if (network != kMixed && said->second != network) {
      refuse(file.path, "is of a " + said->second + ", and network = \"" + network + "\"",
             "give experts of one network, or network = \"mixed\" to fuse different ones");
    }
    file.network = said->second;
    file.width = number_in<double>(metadata, kWidth, file.path).value_or(1);
    file.image_side = number_in<std::int64_t>(metadata, kResized, file.path).value_or(0);
  }
  const auto of_file = number_in<std::int64_t>(metadata, kClasses, file.path);
  if (of_file && *of_file != classes) {
    refuse(file.path,
           "tells apart " + std::to_string(*of_file) + " classes, and the data set has " +
               std::to_string(classes),
           "give experts that were trained on this data set");
  }
  const auto mean = channels_in(metadata, kMean, file.path);
  const auto deviation = channels_in(metadata, kDeviation, file.path);
  if (mean && deviation) file.statistics = ChannelStatistics{*mean, *deviation};
  return file;
}

}  // namespace

std::vector<std::string> expert_network_choices() {
  std::vector<std::string> choices{kMixed};
  for (const std::string& name : feature_network_names()) choices.push_back(name);
  return choices;
}

std::vector<ExpertFile> look_at_experts(const std::vector<std::string>& paths, const std::string& network,
                                        double width, std::int64_t classes) {
  if (paths.size() < 2) {
    throw Error(
        ExitCode::config,
        "there are " + std::to_string(paths.size()) + " weight files of experts (a fusion joins two or more)",
        "give the experts' files, in order");
  }
  std::vector<ExpertFile> files;
  for (const std::string& path : paths) files.push_back(look_at(path, network, width, classes));
  return files;
}

ExpertFile look_at_expert(const std::string& path, std::int64_t classes) {
  return look_at(path, kMixed, 1, classes);
}

std::shared_ptr<FeatureNetwork> load_expert(const ExpertFile& file, std::int64_t classes, torch::Dtype type) {
  NetworkOptions options;
  options.name = file.network;
  options.classes = classes;
  options.width = file.width;
  options.image_side = file.image_side;
  auto network = make_feature_network(options, 0);
  network->to(type);
  load_weights(*network, WeightsFile(file.path));
  return network;
}

std::map<std::string, std::string> expert_metadata(const ExpertFile& expert, std::int64_t classes) {
  Metadata metadata{{kNetwork, expert.network},
                    {kWidth, Value(expert.width).canonical()},
                    {kClasses, std::to_string(classes)},
                    {kResized, std::to_string(expert.image_side)}};
  if (expert.statistics) {
    metadata[kMean] = text_of(expert.statistics->mean);
    metadata[kDeviation] = text_of(expert.statistics->deviation);
  }
  return metadata;
}

}  // namespace muster::workloads
