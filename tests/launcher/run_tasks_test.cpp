#include "launcher/run_tasks.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

Task sample() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Task task;
  task.id = "0123456789ab";
  task.label = "ring-ranks2";
  task.workload = "ddp";
  task.plugin = "/opt/with space/ddp.so";
  task.command = {"echo", "{lr}", "quote\" backslash\\ newline\n ü $(id); '", ""};
  task.parameters = {{"lr", 0.1},
                     {"whole", 1.0},
                     {"tiny", 5e-324},
                     {"negative_zero", -0.0},
                     {"clip", kInfinity},
                     {"floor", -kInfinity},
                     {"exchange.algorithm", "ring"},
                     {"seed", std::numeric_limits<std::int64_t>::max()},
                     {"least", std::numeric_limits<std::int64_t>::min()},
                     {"flag", true},
                     {"names", Value::List{"a", "b"}},
                     {"rates", Value::List{1.0, kInfinity}},
                     {"nested", Value::List{Value::List{1, 2}, Value::List{}}},
                     {"empty", Value::List{}}};
  task.cell = {{"resources.ranks", 2}, {"exchange.algorithm", "ring"}};
  task.resources = {2, 3, 1, true, true};
  task.policy = {1.5, 7, 9, 0.25};
  return task;
}

void expect_same(const Task& read, const Task& task) {
  EXPECT_EQ(read.id, task.id);
  EXPECT_EQ(read.label, task.label);
  EXPECT_EQ(read.workload, task.workload);
  EXPECT_EQ(read.plugin, task.plugin);
  EXPECT_EQ(read.command, task.command);
  EXPECT_EQ(read.parameters, task.parameters);
  for (const auto& [name, value] : task.parameters)
    EXPECT_EQ(read.parameters.at(name).canonical(), value.canonical());
  EXPECT_EQ(read.cell, task.cell);
  EXPECT_EQ(read.resources, task.resources);
  EXPECT_EQ(read.policy.checkpoint_seconds, task.policy.checkpoint_seconds);
  EXPECT_EQ(read.policy.checkpoint_steps, task.policy.checkpoint_steps);
  EXPECT_EQ(read.policy.max_attempts, task.policy.max_attempts);
  EXPECT_EQ(read.policy.kill_after_seconds, task.policy.kill_after_seconds);
}

TEST(RunTasks, ComeBackAsTheyWereWithTheirNumbers) {
  const TemporaryFolder folder;
  const RunPaths run(folder.path());
  Plan plan;
  plan.experiment = "x";
  Task shared = sample();
  shared.resources.ranks_per_gpu = 3;
  shared.resources.gpu_sharing = GpuSharing::time_slicing;
  plan.tasks = {{7, sample(), std::nullopt}, {2, Task{}, std::nullopt}, {3, shared, std::nullopt}};
  write_run_tasks(run, plan);
  const std::vector<PlannedTask> read = read_run_tasks(run);
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].number, 7);
  EXPECT_EQ(read[1].number, 2);
  expect_same(read[0].task, sample());
  expect_same(read[1].task, Task{});
  expect_same(read[2].task, shared);
  EXPECT_FALSE(read[0].refusal);
}

TEST(RunTasks, CutAnywhereAreRefusedWithTheFilesName) {
  const TemporaryFolder folder;
  const RunPaths run(folder.path());
  Plan plan;
  plan.tasks = {{0, sample(), std::nullopt}};
  write_run_tasks(run, plan);
  const std::string whole = text_of(run.tasks());
  for (std::size_t length = 0; length + 2 < whole.size(); length += 7) {
    write_text(run.tasks(), whole.substr(0, length));
    const std::string text = error_of(ExitCode::storage, [&] { read_run_tasks(run); });
    ASSERT_NE(text.find("tasks.json"), std::string::npos) << text;
  }
  std::filesystem::remove(run.tasks());
  error_of(ExitCode::storage, [&] { read_run_tasks(run); });
}

}  // namespace
}  // namespace muster
