// The evaluate workload, and the networks whose published weights it is for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "core/error.hpp"
#include "tests/workloads/data_files.hpp"
#include "tests/workloads/memory_context.hpp"
#include "tests/workloads/rank_threads.hpp"
#include "workloads/common/evaluation.hpp"
#include "workloads/common/training_state.hpp"
#include "workloads/evaluate/evaluation_task.hpp"

namespace muster::workloads {
namespace {

using testing::error_thrown_by;
using testing::fresh_folder;
namespace fs = std::filesystem;
using ::testing::HasSubstr;

Task task(const Parameters& given) {
  Task result;
  result.workload = "evaluate";
  result.parameters = resolve_parameters(evaluate_schema(), given, {});
  return result;
}

/// Rank 0's metrics.
MemoryMetrics evaluated(int ranks, const Parameters& given, const fs::path& folder) {
  torch::set_num_threads(1);
  MemoryMetrics metrics;
  on_ranks(ranks, [&](Communicator& communicator) {
    MemoryContext context(task(given), communicator, folder);
    evaluate_weights(context);
    if (communicator.rank() == 0) metrics = context.recorded;
  });
  return metrics;
}

TEST(CifarResNets, HaveTheirPublishedSizes) {
  for (const auto& [name, parameters] :
       {std::pair{"resnet20", 269722}, {"resnet32", 464154}, {"resnet44", 658586}, {"resnet56", 853018}}) {
    auto network = make_network({.name = name}, 0);
    std::int64_t count = 0;
    for (const auto& tensor : network->parameters()) count += tensor.numel();
    EXPECT_EQ(count, parameters) << name;
  }
}

/// 932 of 1,017 is what PyTorch counts with the network's published definition.
TEST(Evaluate, CountsThePublishedResNet20AsPyTorchDoes) {
  MUSTER_NEEDS_REAL_DATA(images, "cifar10-subset");
  MUSTER_NEEDS_REAL_DATA(weights, "pretrained/resnet20-12fca82f.th");
  for (const int ranks : {1, 2}) {
    const auto metrics = evaluated(ranks,
                                   {{"weights", weights.string()},
                                    {"data.path", images.string()},
                                    {"normalise", "imagenet"},
                                    {"batch", 200}},
                                   fresh_folder());
    EXPECT_THAT(metrics.column("evaluation", "images"), ::testing::ElementsAre(1017));
    EXPECT_THAT(metrics.column("evaluation", "right"), ::testing::ElementsAre(932));
    const auto counts = metrics.column("confusion", "count");
    double right = 0;
    for (std::size_t i = 0; i < 10; ++i) right += counts[i * 11];
    EXPECT_EQ(right, 932);
    EXPECT_GT(metrics.column("evaluation", "top5_accuracy")[0], 0.99);
    EXPECT_LT(metrics.column("evaluation", "loss")[0], 0.4);
  }
}

TEST(Evaluate, RefusesWeightsOfAnotherNetworkAndNamesTheDifferences) {
  const auto folder = fresh_folder();
  auto network = make_network({.name = "resnet20", .width = 0.5}, 1);
  write_safetensors(folder / "slim.safetensors", TensorViews(named_tensors(*network)).views());
  const auto run = [&](Parameters more) {
    more["weights"] = (folder / "slim.safetensors").string();
    more["data.samples"] = 20;
    return evaluated(1, more, folder / "task");
  };
  const Error wide = error_thrown_by([&] { run({{"network", "resnet20"}}); });
  EXPECT_EQ(wide.code(), ExitCode::data);
  EXPECT_THAT(wide.problem(), HasSubstr("conv1.weight: 8x3x3x3 in the file, 16x3x3x3 in the network"));
  const Error deep = error_thrown_by([&] { run({{"network", "resnet32"}, {"width", 0.5}}); });
  EXPECT_THAT(deep.problem(), HasSubstr("the file has no 'layer1.3.conv1.weight'"));
  EXPECT_THAT(run({{"network", "resnet20"}, {"width", 0.5}}).column("evaluation", "images"),
              ::testing::ElementsAre(20));
  const auto partly =
      run({{"network", "resnet32"}, {"width", 0.5}, {"may_be_unfilled", Value::List{"layer*"}}});
  EXPECT_EQ(partly.rows.at("evaluation").size(), 1U);
}

/// Gives each image the logits of its first pixel: value v means that class v is likeliest, then v + 1, …
class Ladder : public Network {
 public:
  Ladder() { register_parameter("none", torch::zeros({1})); }
  torch::Tensor forward(const torch::Tensor& images) override {
    const auto first = (images.select(1, 0).select(1, 0).select(1, 0) * 255).round().to(torch::kInt64);
    const auto classes = torch::arange(10, torch::kInt64);
    return -(classes.unsqueeze(0) - first.unsqueeze(1)).remainder(10).to(torch::kFloat32);
  }
};

TEST(Evaluate, CountsTheTopFive) {
  ImageSet set{torch::zeros({10, 32, 32, 3}, torch::kUInt8), torch::full({10}, 7, torch::kInt64)};
  for (int i = 0; i < 10; ++i) set.images[i].fill_(i);
  Ladder ladder;
  const BatchMaker batches({{0, 0, 0}, {1, 1, 1}}, torch::kFloat32, 0, {0, false, 0});
  const Evaluation result = evaluate(ladder, set, batches, 10, 4, nullptr);
  // Class 7 is likeliest for pixel 7, and fifth for pixel 3.
  EXPECT_EQ(result.in_top5, 5);
  EXPECT_EQ(result.confusion[7 * 10 + 7], 1);
}

}  // namespace
}  // namespace muster::workloads
