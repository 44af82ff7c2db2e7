/// Fusion, and what becomes of it on the test set, on a GPU as on a CPU.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tests/workloads/fusion_files.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"
#include "tests/workloads/gpu/weights_distance.hpp"
#include "workloads/evaluate_fusion/evaluation_task.hpp"

namespace muster::workloads {
namespace {

using testing::kOneGpu;

class GpuFusionTest : public testing::FusionTrainingTest {
 protected:
  void SetUp() override {
    FusionTrainingTest::SetUp();
    const std::string missing = testing::missing_gpus(1);
    if (!missing.empty()) GTEST_SKIP() << missing;
  }

  Task exact(const Parameters& more) const {
    Parameters given{{"precision", "fp64"}};
    for (const auto& [name, value] : more) given[name] = value;
    return task(given);
  }

  void expect_same(const std::string& one, const std::string& other) const {
    for (const char* name : {"experts/expert_0", "experts/expert_1", "fusion/fusion", "global/global"}) {
      const std::string file = std::string(name) + ".safetensors";
      EXPECT_LT(testing::distance_of_weights(folder_ / one / file, folder_ / other / file),
                testing::kOtherOrder)
          << name << " in " << other;
    }
  }
};

TEST_F(GpuFusionTest, LearnsOnAGpuWhatItLearnsOnACpu) {
  for (const std::string fusion : {"multiplicativeAddition", "TransformerBase", "concatenation"}) {
    const Task t = exact({{"fusion", fusion}});
    train(1, t, fusion + "-cpu");
    train(1, t, fusion + "-gpu", {}, kOneGpu);
    expect_same(fusion + "-cpu", fusion + "-gpu");
  }
}

TEST_F(GpuFusionTest, GangsOnGpusLearnTheSame) {
  const std::string missing = testing::missing_gpus(2);
  if (!missing.empty()) GTEST_SKIP() << missing;
  train(2, exact({}), "cpu");
  train(2, exact({}), "gpu", {}, kOneGpu);
  expect_same("cpu", "gpu");
}

TEST_F(GpuFusionTest, AFusionIsEvaluatedOnAGpuAsOnACpu) {
  train(1, exact({}), "trained");
  Task t;
  t.workload = "evaluate_fusion";
  const DatasetOptions data = testing::fusion_dataset();
  t.parameters = resolve_parameters(evaluate_fusion_schema(),
                                    {{"fusion_folder", (folder_ / "trained").string()},
                                     {"experts", Value::List{experts_[0], experts_[1]}},
                                     {"control", experts_[1]},
                                     {"precision", "fp64"},
                                     {"data.samples", data.samples},
                                     {"data.test_samples", data.test_samples},
                                     {"data.classes", data.classes},
                                     {"data.seed", static_cast<std::int64_t>(data.seed)}},
                                    {});
  std::vector<std::vector<double>> losses;
  for (const Device& device : {Device{}, kOneGpu}) {
    on_ranks(1, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / "evaluated");
      context.computes_on = device;
      evaluate_fusion(context);
      losses.push_back(context.recorded.column("component", "loss"));
    });
  }
  ASSERT_EQ(losses[0].size(), losses[1].size());
  for (std::size_t i = 0; i < losses[0].size(); ++i) EXPECT_NEAR(losses[1][i], losses[0][i], 1e-9) << i;
}

}  // namespace
}  // namespace muster::workloads
