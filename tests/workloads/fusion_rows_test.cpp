// Which images have a part in a fusion, and what is refused before any training.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "core/error.hpp"
#include "core/index_file.hpp"
#include "tests/workloads/fusion_files.hpp"

namespace muster::workloads {
namespace {

namespace fs = std::filesystem;
using testing::error_thrown_by;
using testing::FusionTrainingTest;
using ::testing::HasSubstr;
using testing::kFusionWidth;

/// A changed label of a row shows where that row has a part.
class FusionRows : public FusionTrainingTest {
 protected:
  /// The same images as CIFAR-10 files, `change` made to the records, and the split of the unchanged ones.
  using Records = std::vector<std::vector<std::uint8_t>>;
  MemoryMetrics trained(const std::string& place,
                        const std::function<void(Records& train, Records& test, const Split&)>& change) {
    Records train, test;
    for (int i = 0; i < 120; ++i) train.push_back(record(i, i % 4));
    for (int i = 0; i < 20; ++i) test.push_back(record(1000 + i, i % 4));
    const auto write = [&](const fs::path& folder) {
      for (int part = 0; part < 5; ++part) {
        std::vector<std::uint8_t> bytes;
        for (int i = 24 * part; i < 24 * (part + 1); ++i)
          bytes.insert(bytes.end(), train[static_cast<std::size_t>(i)].begin(),
                       train[static_cast<std::size_t>(i)].end());
        testing::write_bytes(folder / ("data_batch_" + std::to_string(part + 1) + ".bin"), bytes);
      }
      std::vector<std::uint8_t> bytes;
      for (const auto& one : test) bytes.insert(bytes.end(), one.begin(), one.end());
      testing::write_bytes(folder / "test_batch.bin", bytes);
    };
    const fs::path images = folder_ / place / "images";
    write(images);
    const Split split = testing::make_fusion_split(load_dataset({.path = images.string()}), 2);
    change(train, test, split);
    write(images);
    fs::create_directories(folder_ / place / "split");
    write_split(folder_ / place / "split", split, load_dataset({.path = images.string()}), {.experts = 2});
    std::vector<Value> experts;
    for (const int seed : {1, 2})
      experts.emplace_back(testing::write_expert(folder_ / place / (std::to_string(seed) + ".safetensors"),
                                                 "resnet_slim", kFusionWidth,
                                                 static_cast<std::uint64_t>(seed), 10));
    return train_on(place, images.string(), experts);
  }

 private:
  static std::vector<std::uint8_t> record(int number, int label) {
    std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(label)};
    for (int p = 0; p < 3072; ++p)
      bytes.push_back(static_cast<std::uint8_t>((number * 37 + p * (label + 1)) % 251));
    return bytes;
  }
  MemoryMetrics train_on(const std::string& place, const std::string& images, std::vector<Value> experts) {
    return train(1,
                 task({{"data.path", images},
                       {"data.samples", 0},
                       {"split", (folder_ / place / "split").string()},
                       {"experts", std::move(experts)}}),
                 place)
        .metrics;
  }
};

TEST_F(FusionRows, OfTheTestSetAndOfExpertsHaveNoPartInTrainingOrInTheChoice) {
  const auto usual = trained("usual", [](auto&, auto&, const Split&) {});
  const auto same = trained("same", [](auto& train, auto& test, const Split& split) {
    for (auto& one : test) {
      for (auto& byte : one) byte = static_cast<std::uint8_t>(byte % 7);
    }
    for (const auto& part : split.experts) {
      for (const auto row : part) train[static_cast<std::size_t>(row)][0] ^= 1;
    }
  });
  const auto columns = [](const MemoryMetrics& metrics) {
    return std::vector{metrics.column("step", "loss"), metrics.column("epoch", "global_loss"),
                       metrics.column("epoch", "best_epoch")};
  };
  EXPECT_EQ(columns(same), columns(usual));
  EXPECT_EQ(weights("same"), weights("usual"));

  const auto judged = trained("judged", [](auto& train, auto&, const Split& split) {
    for (const auto row : split.validation) train[static_cast<std::size_t>(row)][0] ^= 1;
  });
  EXPECT_EQ(judged.column("step", "loss"), usual.column("step", "loss")) << "validation rows were trained on";
  EXPECT_NE(judged.column("epoch", "global_loss"), usual.column("epoch", "global_loss"));
  const auto taught = trained("taught", [](auto& train, auto&, const Split& split) {
    train[static_cast<std::size_t>(split.fusion_train.front())][0] ^= 1;
  });
  EXPECT_NE(taught.column("step", "loss"), usual.column("step", "loss"));
}

struct Mistake {
  const char* name;
  std::function<Parameters(const fs::path&)> make;  ///< in the test's folder
  const char* message;
};
class FusionRefuses : public FusionTrainingTest, public ::testing::WithParamInterface<Mistake> {};

std::vector<std::int64_t> indices(const fs::path& split, const char* name) {
  return read_indices(split / (std::string(name) + "_indices.npy"), 1 << 20);
}
void put(const fs::path& split, const char* name, const std::vector<std::int64_t>& rows) {
  write_indices(split / (std::string(name) + "_indices.npy"), rows);
}

const Mistake kMistakes[] = {
    {"AMissingCheckpoint",
     [](const fs::path& folder) {
       fs::remove(folder / "b.safetensors");
       return Parameters{};
     },
     "b.safetensors' is not there"},
    {"AnotherNetworkThanAskedFor",
     [](const fs::path&) {
       return Parameters{{"network", "resnet_slim"}};
     },
     "is of a densenet_slim"},
    {"WeightsThatDoNotFitTheirNetwork",
     [](const fs::path& folder) {
       testing::write_expert(folder / "a.safetensors", "resnet_slim", 2 * kFusionWidth, 1);
       const SafetensorsFile wide(folder / "a.safetensors");
       auto metadata = wide.metadata();
       metadata["width"] = std::to_string(kFusionWidth);
       write_safetensors(folder / "c.safetensors", wide.tensors(), metadata);
       return Parameters{{"experts", Value::List{(folder / "c.safetensors").string(),
                                                 (folder / "b.safetensors").string()}}};
     },
     "in the network"},
    {"AnExpertOfAnotherNumberOfClasses",
     [](const fs::path& folder) {
       testing::write_expert(folder / "a.safetensors", "resnet_slim", kFusionWidth, 1, 10);
       return Parameters{};
     },
     "tells apart 10 classes, and the data set has 4"},
    {"AFileThatIsNoneOfWeights",
     [](const fs::path& folder) {
       testing::write_bytes(folder / "a.safetensors", {1, 2, 3});
       return Parameters{};
     },
     "a.safetensors"},
    {"ASingleExpert",
     [](const fs::path& folder) {
       return Parameters{{"experts", Value::List{(folder / "a.safetensors").string()}}};
     },
     "two or more"},
    {"NeitherExpertsNorTheirFolder",
     [](const fs::path&) {
       return Parameters{{"experts", Value::List{}}};
     },
     "either as experts or in experts_folder"},
    {"AnExpertThatWasTrainedOnOtherImages",
     [](const fs::path& folder) {
       testing::write_expert(folder / "a.safetensors", "resnet_slim", kFusionWidth, 1,
                             testing::kFusionClasses,
                             {{"mean", "0.5 0.5 0.5"}, {"deviation", "0.2 0.2 0.2"}});
       return Parameters{};
     },
     "another normalisation"},
    {"ARowBeyondTheTrainingSetAsOneOfTheTestSets",
     [](const fs::path& folder) {
       auto rows = indices(folder / "split", "fusion_train");
       rows.back() = 120;
       put(folder / "split", "fusion_train", rows);
       return Parameters{};
     },
     "index 120 is outside of the 120"},
    {"AnExpertsRowToTrainTheFusionOn",
     [](const fs::path& folder) {
       auto rows = indices(folder / "split", "fusion_train"),
            holdout = indices(folder / "split", "fusion_holdout");
       const auto stolen = indices(folder / "split", "expert_0").front();
       std::replace(holdout.begin(), holdout.end(), rows.front(), stolen);
       rows.front() = stolen;
       put(folder / "split", "fusion_train", rows);
       put(folder / "split", "fusion_holdout", holdout);
       return Parameters{};
     },
     "both in"},
    {"AValidationRowToTrainTheFusionOn",
     [](const fs::path& folder) {
       auto rows = indices(folder / "split", "fusion_train");
       rows.front() = indices(folder / "split", "validation").front();
       put(folder / "split", "fusion_train", rows);
       return Parameters{};
     },
     "both in"},
    {"ASplitOfOtherImages",
     [](const fs::path&) {
       return Parameters{{"data.seed", 4}};
     },
     "other training images"},
    {"ABatchLargerThanItsImages",
     [](const fs::path&) {
       return Parameters{{"batch", 25}};
     },
     "larger than the 24"},
    {"AWidthThatEightHeadsCannotShare",
     [](const fs::path&) {
       return Parameters{{"fusion", "TransformerBase"}, {"common_width", 12}};
     },
     "cannot have 8 heads"},
};
INSTANTIATE_TEST_SUITE_P(Before, FusionRefuses, ::testing::ValuesIn(kMistakes),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(FusionRefuses, WithOneErrorBeforeAnyTraining) {
  const Task t = task(GetParam().make(folder_));
  std::atomic<int> steps{0};
  const Error error = error_thrown_by([&] {
    train(1, t, "run", [&](std::int64_t) {
      ++steps;
      return AfterStep::go_on;
    });
  });
  EXPECT_TRUE(error.code() == ExitCode::data || error.code() == ExitCode::config) << error.what();
  EXPECT_THAT(error.what(), HasSubstr(GetParam().message));
  EXPECT_FALSE(error.advice().empty());
  EXPECT_EQ(steps, 0);
  EXPECT_FALSE(fs::exists(folder_ / "run" / "global"));
}

}  // namespace
}  // namespace muster::workloads
