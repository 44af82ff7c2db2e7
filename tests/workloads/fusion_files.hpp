#pragma once
/// A small split, untrained experts in files as the split and experts workloads leave them, and their fusion.

#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/workloads/data_files.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/data/dataset.hpp"
#include "workloads/common/data/split_folder.hpp"
#include "workloads/common/models/feature_network.hpp"
#include "workloads/common/training_state.hpp"
#include "workloads/fusion/training.hpp"

namespace muster::workloads::testing {

namespace fs = std::filesystem;

inline constexpr std::int64_t kFusionClasses = 4;

inline DatasetOptions fusion_dataset() {
  return {.samples = 120, .test_samples = 40, .classes = kFusionClasses, .seed = 3};
}

/// 24 images to train a fusion on, 24 to validate, 72 for `experts` experts.
inline Split make_fusion_split(const Dataset& data, std::int64_t experts) {
  const auto* labels = data.train.labels.const_data_ptr<std::int64_t>();
  return make_split({labels, static_cast<std::size_t>(data.train.size())}, data.classes,
                    {.experts = experts, .holdout = 0.4, .shared = 0.5, .validation = 0.5});
}

inline std::string write_fusion_split(const std::filesystem::path& folder, std::int64_t experts) {
  std::filesystem::create_directories(folder);
  const Dataset data = load_dataset(fusion_dataset());
  write_split(folder, make_fusion_split(data, experts), data, {.experts = experts});
  return folder.string();
}

/// An untrained expert's file.
inline std::string write_expert(const std::filesystem::path& file, const std::string& model, double width,
                                std::uint64_t seed, std::int64_t classes = kFusionClasses,
                                std::map<std::string, std::string> metadata = {}) {
  std::filesystem::create_directories(file.parent_path());
  NetworkOptions options;
  options.name = model;
  options.classes = classes;
  options.width = width;
  const auto network = make_feature_network(options, seed);
  metadata.merge(std::map<std::string, std::string>{
      {"model", model}, {"classes", std::to_string(classes)}, {"width", std::to_string(width)}});
  write_weights(file, named_tensors(*network), metadata);
  return file.string();
}

inline constexpr double kFusionWidth = 0.5;

class FusionTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    torch::set_num_threads(1);
    folder_ = fresh_folder();
    split_ = write_fusion_split(folder_ / "split", 2);
    experts_ = {write_expert(folder_ / "a.safetensors", "resnet_slim", kFusionWidth / 2, 1),
                write_expert(folder_ / "b.safetensors", "densenet_slim", kFusionWidth, 2)};
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// Two experts of different width on 24 images in 2 steps an epoch.
  Task task(const Parameters& more = {}) const {
    const DatasetOptions data = fusion_dataset();
    Parameters given{{"split", split_},
                     {"experts", Value::List{experts_[0], experts_[1]}},
                     {"data.samples", data.samples},
                     {"data.classes", data.classes},
                     {"data.seed", static_cast<std::int64_t>(data.seed)},
                     {"fusion", "multiplicativeAddition"},
                     {"epochs", 2},
                     {"batch", 12},
                     {"experts_lr", 1e-3},
                     {"exchange.bucket_mb", 0.05}};
    for (const auto& [name, value] : more) given[name] = value;
    Task result;
    result.workload = "fusion";
    result.parameters = resolve_parameters(fusion_schema(), given, {});
    return result;
  }

  struct Result {
    Outcome outcome = Outcome::finished;
    MemoryMetrics metrics;  ///< rank 0's
  };
  Result train(int ranks, const Task& t, const std::string& place,
               const std::function<AfterStep(std::int64_t)>& after = {}, const Device& device = {}) const {
    Result result;
    on_ranks(ranks, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / place, after);
      context.computes_on = device;
      context.computes_on.index = communicator.rank();
      const Outcome outcome = train_fusion(context);
      if (communicator.rank() == 0) result = {outcome, context.recorded};
    });
    return result;
  }

  std::vector<std::string> weights(const std::string& place) const {
    std::vector<std::string> checksums;
    for (const char* name : {"experts/expert_0", "experts/expert_1", "fusion/fusion", "global/global"})
      checksums.push_back(SafetensorsFile(folder_ / place / (std::string(name) + ".safetensors")).checksum());
    return checksums;
  }

  fs::path folder_;
  std::string split_;
  std::vector<std::string> experts_;
};

}  // namespace muster::workloads::testing
