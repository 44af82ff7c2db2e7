#pragma once
/// Small trainings on CPUs and GPUs, and how far their weights are apart.

#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/workloads/gpu/gang_of_test.hpp"
#include "tests/workloads/gpu/gpu_of_test.hpp"
#include "tests/workloads/gpu/weights_distance.hpp"
#include "tests/workloads/memory_context.hpp"
#include "workloads/ddp/training.hpp"
#include "workloads/tensor_parallel/training.hpp"
#include "workloads/weight_averaging/training.hpp"

namespace muster::workloads::testing {

class GpuTrainingTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = missing_gpus(1);
    if (!missing.empty()) GTEST_SKIP() << missing;
    torch::set_num_threads(1);
    at::globalContext().setAllowTF32CuDNN(false);  // fp32 is to be a CPU's.
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    folder_ = std::filesystem::temp_directory_path() /
              ("muster-gpu-" + name + "-" + std::to_string(of_first_rank(getpid())));
  }
  void TearDown() override {
    if (!folder_.empty() && judges()) std::filesystem::remove_all(folder_);
  }

  /// A slim ResNet-9 in fp64, 4 steps an epoch.
  static Task task(const Parameters& more = {}) {
    Parameters given{{"exchange.bucket_mb", 0.05}};
    for (const auto& [name, value] : more) given[name] = value;
    return task_of("ddp", ddp_schema(), given);
  }
  static Task task_of(const std::string& workload, const WorkloadSchema& schema, const Parameters& more) {
    Parameters given{{"width", 0.125}, {"data.samples", 96}, {"data.test_samples", 30},
                     {"epochs", 2},    {"batch", 24},        {"precision", "fp64"},
                     {"lr", 0.05}};
    for (const auto& [name, value] : more) given[name] = value;
    Task result;
    result.workload = workload;
    result.parameters = resolve_parameters(schema, given, {});
    return result;
  }

  static Outcome run(Context& context) {
    const std::string& workload = context.task().workload;
    if (workload == "tensor_parallel") return train_tensor_parallel(context);
    if (workload == "weight_averaging") return train_by_averaging(context);
    return train_ddp(context);
  }

  /// Rank 0's, where judges().
  struct Result {
    Outcome outcome = Outcome::finished;
    MemoryMetrics metrics;
    std::vector<std::string> lines;
    std::optional<std::uint64_t> between_gpus;  ///< collectives, where GPUs are linked
  };

  Result train(int ranks, const Device& device, const Task& t, const std::string& place,
               const std::function<AfterStep(std::int64_t)>& after = {}, bool linked = false) {
    Result result;
    on_gang(ranks, [&](Communicator& communicator) {
      MemoryContext context(t, communicator, folder_ / place, after);
      context.computes_on = device;
      context.computes_on.index = gpu_of_rank(communicator.rank());
      const auto links = linked ? links_between_gpus(communicator) : nullptr;
      context.between_gpus = links.get();
      const Outcome outcome = run(context);
      if (communicator.rank() != 0) return;
      result = {outcome, context.recorded, context.lines, {}};
      if (links) result.between_gpus = links->traffic().collectives;
    });
    return result;
  }

  double distance(const std::string& one, const std::string& other) const {
    return distance_of_weights(folder_ / one / "final.safetensors", folder_ / other / "final.safetensors");
  }

  std::filesystem::path folder_;
};

}  // namespace muster::workloads::testing
