#include "core/weights/tensor_matching.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TensorView tensor(const std::string& name, std::vector<std::int64_t> shape = {2}) {
  return {name, DType::f32, std::move(shape), {}};
}

const std::vector<WantedTensor> kNetwork{{"conv1.weight", {2}},
                                         {"bn1.running_mean", {2}},
                                         {"layer2.0.downsample.0.weight", {2}},
                                         {"fc.weight", {10, 2}}};

std::vector<TensorView> whole(const std::string& prefix = "", const std::string& projection = "downsample",
                              const std::string& head = "fc") {
  return {tensor(prefix + "conv1.weight"), tensor(prefix + "bn1.running_mean"),
          tensor(prefix + "bn1.num_batches_tracked", {}),
          tensor(prefix + "layer2.0." + projection + ".0.weight"),
          tensor(prefix + head + ".weight", {10, 2})};
}

TEST(TensorMatching, KnowsPrefixesAndDialects) {
  for (const auto& tensors :
       {whole(), whole("module."), whole("_orig_mod."), whole("model.", "shortcut", "linear"),
        whole("backbone.", "downsample", "head.fc"), whole("", "shortcut", "classifier")}) {
    const Matching matching = match_tensors(kNetwork, tensors, {}, "a.pth");
    require_match(matching, "a.pth");
    ASSERT_EQ(matching.matches.size(), 4U);
    EXPECT_EQ(tensors[matching.matches[2].tensor].shape, kNetwork[matching.matches[2].wanted].shape);
    EXPECT_EQ(matching.matches[3].tensor, 4U) << "not the counter of batches";
    EXPECT_THAT(matching.unused, IsEmpty());
  }
  EXPECT_EQ(match_tensors(kNetwork, whole("module."), {}, "a").prefix, "module.");
}

TEST(TensorMatching, NamesEveryDifferenceAndFails) {
  auto tensors = whole("module.");
  tensors[3].name = "module.layer2.0.projection.0.weight";
  tensors[4].shape = {1000, 2};
  tensors.push_back(tensor("head.bias"));
  const Matching matching = match_tensors(kNetwork, tensors, {}, "a.pth");
  EXPECT_THAT(matching.unused, ElementsAre("module.layer2.0.projection.0.weight", "head.bias"));
  EXPECT_THAT(matching.unfilled, ElementsAre("fc.weight", "layer2.0.downsample.0.weight"));
  EXPECT_THAT(matching.different_shapes, ElementsAre("fc.weight: 1000x2 in the file, 10x2 in the network"));
  const std::string text = error_of(ExitCode::data, [&] { require_match(matching, "a.pth"); });
  for (const char* part : {"a.pth", "has no 'module.layer2.0.projection.0.weight'", "has no 'head.bias'",
                           "has no 'layer2.0.downsample.0.weight'", "1000x2"})
    EXPECT_THAT(text, HasSubstr(part));
}

TEST(TensorMatching, TakesTheDifferencesThatItIsTold) {
  auto tensors = whole();
  tensors[4].shape = {1000, 2};
  tensors[3].name = "other.0.weight";
  const MatchingRules rules{{"other.*"}, {"layer2.*.weight"}, {"fc.*"}};
  const Matching matching = match_tensors(kNetwork, tensors, rules, "a.pth");
  require_match(matching, "a.pth");
  EXPECT_EQ(matching.matches.size(), 2U);
  EXPECT_THAT(matching.summary(), HasSubstr("2 of 4 tensors filled"));
  // Each rule is for its own kind of difference.
  const MatchingRules wrong{{"fc.*", "layer2.*"}, {"other.*", "fc.*"}, {"layer2.*"}};
  error_of(ExitCode::data, [&] { require_match(match_tensors(kNetwork, tensors, wrong, "a"), "a"); });
}

TEST(TensorMatching, RefusesTwoTensorsForOneParameter) {
  auto tensors = whole();
  tensors.push_back(tensor("linear.weight", {10, 2}));
  EXPECT_THAT(error_of(ExitCode::data, [&] { match_tensors(kNetwork, tensors, {}, "a.pth"); }),
              HasSubstr("'fc.weight' and 'linear.weight' both mean the network's 'fc.weight'"));
}

}  // namespace
}  // namespace muster
