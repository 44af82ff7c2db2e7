#include "workloads/fusion/components.hpp"

#include <charconv>
#include <map>
#include <utility>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/value.hpp"
#include "core/weights/weights_file.hpp"
#include "workloads/common/training_state.hpp"
#include "workloads/common/weights_loading.hpp"

namespace muster::workloads {
namespace fs = std::filesystem;
namespace {

using Metadata = std::map<std::string, std::string>;

fs::path expert_file(const fs::path& folder, std::size_t expert) {
  return folder / "experts" / ("expert_" + std::to_string(expert) + ".safetensors");
}
fs::path fusion_file(const fs::path& folder) { return folder / "fusion" / "fusion.safetensors"; }
fs::path global_file(const fs::path& folder) { return folder / "global" / "global.safetensors"; }

/// The tensors whose names begin so, without that beginning.
void write(const fs::path& file, const NamedTensors& tensors, const std::string& prefix,
           const Metadata& metadata) {
  NamedTensors own;
  for (const auto& [name, tensor] : tensors) {
    if (name.starts_with(prefix)) own.emplace_back(name.substr(prefix.size()), tensor);
  }
  make_folders(file.parent_path());
  write_weights(file, own, metadata);
}

std::string text_of(double number) { return Value(number).canonical(); }

/// What one component says of itself.
class Said {
 public:
  explicit Said(const fs::path& file) : file_(file) {
    if (!fs::is_regular_file(file)) {
      throw Error(ExitCode::data, "the fusion's '" + file.string() + "' is not there",
                  "give the artifacts folder of a fusion task that is done");
    }
    metadata_ = WeightsFile(file).metadata();
  }

  const std::string& text(const std::string& key) const {
    const auto found = metadata_.find(key);
    if (found != metadata_.end()) return found->second;
    throw Error(ExitCode::data, "'" + file_.string() + "' does not say its " + key,
                "it was not written by the fusion workload");
  }
  std::int64_t number(const std::string& key) const {
    const std::string& said = text(key);
    std::int64_t value = 0;
    const auto [stop, problem] = std::from_chars(said.data(), said.data() + said.size(), value);
    if (problem == std::errc() && stop == said.data() + said.size()) return value;
    throw Error(ExitCode::data,
                "'" + file_.string() + "' says " + key + " = '" + said + "', which is no number",
                "the file is damaged");
  }

 private:
  fs::path file_;
  Metadata metadata_;
};

}  // namespace

bool BestEpoch::is_beaten_by(const Evaluation& global) const {
  return epoch == 0 || global.accuracy() > accuracy || (global.accuracy() == accuracy && global.loss < loss);
}

void write_components(const fs::path& folder, const NamedTensors& tensors,
                      const FusionDescription& description, const BestEpoch& best) {
  const std::string epoch = std::to_string(best.epoch);
  for (std::size_t i = 0; i < description.experts.size(); ++i) {
    Metadata metadata = expert_metadata(description.experts[i], description.classes);
    metadata["expert"] = std::to_string(i);
    metadata["validation_accuracy"] = text_of(best.expert_accuracy.at(i));
    metadata["epoch"] = epoch;
    write(expert_file(folder, i), tensors, "experts." + std::to_string(i) + ".", metadata);
  }
  write(fusion_file(folder), tensors, "fusion.",
        {{"fusion", description.fusion},
         {"experts", std::to_string(description.experts.size())},
         {"common_width", std::to_string(description.options.common_width)},
         {"hidden", std::to_string(description.options.hidden)},
         {"epoch", epoch}});
  write(global_file(folder), tensors, "global.",
        {{"classes", std::to_string(description.classes)},
         {"validation_accuracy", text_of(best.accuracy)},
         {"epoch", epoch}});
}

FusionDescription look_at_components(const fs::path& folder) {
  const Said fusion(fusion_file(folder));
  const Said global(global_file(folder));
  const std::string& epoch = global.text("epoch");
  const auto require_same_epoch = [&](const Said& part, const std::string& name) {
    if (part.text("epoch") == epoch) return;
    throw Error(ExitCode::data,
                "in '" + folder.string() + "' the " + name + " is of epoch " + part.text("epoch") +
                    " and the global head of epoch " + epoch,
                "files of several trainings were mixed, or the task is not done yet");
  };
  require_same_epoch(fusion, "fusion");
  FusionDescription description;
  description.fusion = fusion.text("fusion");
  description.options = {.common_width = fusion.number("common_width"), .hidden = fusion.number("hidden")};
  description.classes = global.number("classes");
  for (std::int64_t i = 0; i < fusion.number("experts"); ++i) {
    const fs::path file = expert_file(folder, static_cast<std::size_t>(i));
    require_same_epoch(Said(file), "expert " + std::to_string(i));
    description.experts.push_back(look_at_expert(file.string(), description.classes));
    if (description.experts.back().statistics) continue;
    throw Error(ExitCode::data, "'" + file.string() + "' does not say by what its images were normalised",
                "it was not written by the fusion workload");
  }
  return description;
}

std::unique_ptr<FusionNetwork> load_components(const fs::path& folder, const FusionDescription& description,
                                               torch::Dtype type) {
  std::vector<std::shared_ptr<FeatureNetwork>> experts;
  for (const ExpertFile& expert : description.experts)
    experts.push_back(load_expert(expert, description.classes, type));
  auto network = std::make_unique<FusionNetwork>(std::move(experts), description.fusion, description.options,
                                                 description.classes, 0);
  load_weights(network->fusion(), WeightsFile(fusion_file(folder)));
  load_weights(*network->global(), WeightsFile(global_file(folder)));
  return network;
}

}  // namespace muster::workloads
