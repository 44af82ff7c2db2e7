#include <gtest/gtest.h>

#include <limits>

#include "core/task.hpp"
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
  Task task;
  task.id = "0123456789ab";
  task.label = "ring-ranks2";
  task.workload = "ddp";
  task.plugin = "/opt/with space/ddp.so";
  task.command = {"echo", "{lr}", "quote\" backslash\\ newline\n ü", ""};
  task.parameters = {{"lr", 0.1},
                     {"clip", std::numeric_limits<double>::infinity()},
                     {"exchange.algorithm", "ring"},
                     {"seed", std::numeric_limits<std::int64_t>::max()},
                     {"flag", true},
                     {"list", Value::List{"a", "b"}},
                     {"empty", Value::List{}}};
  task.cell = {{"resources.ranks", 2}, {"exchange.algorithm", "ring"}};
  task.resources = {2, 3, 1, true, true};
  task.policy = {1.5, 7, 9, 0.25};
  return task;
}

TEST(TaskFile, ComesBackWhole) {
  const TemporaryFolder folder;
  const Task task = sample();
  write_task(task, folder / "task.toml");
  const Task read = read_task(folder / "task.toml");
  EXPECT_EQ(read.id, task.id);
  EXPECT_EQ(read.label, task.label);
  EXPECT_EQ(read.workload, task.workload);
  EXPECT_EQ(read.plugin, task.plugin);
  EXPECT_EQ(read.command, task.command);
  EXPECT_EQ(read.parameters, task.parameters);
  EXPECT_EQ(read.cell, task.cell);
  EXPECT_EQ(read.resources, task.resources);
  EXPECT_EQ(read.policy.checkpoint_seconds, 1.5);
  EXPECT_EQ(read.policy.checkpoint_steps, 7);
  EXPECT_EQ(read.policy.max_attempts, 9);
  EXPECT_EQ(read.policy.kill_after_seconds, 0.25);
  EXPECT_EQ(read.seed(), static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
}

TEST(TaskFile, ASharedGpuComesBack) {
  const TemporaryFolder folder;
  for (const int ranks_per_gpu : {2, 3, 7, 48}) {
    Task task = sample();
    task.resources.ranks_per_gpu = ranks_per_gpu;
    task.resources.gpu_sharing = GpuSharing::mps;
    write_task(task, folder / "task.toml");
    EXPECT_EQ(read_task(folder / "task.toml").resources, task.resources);
  }
}

TEST(TaskFile, AnEmptyTaskComesBackToo) {
  const TemporaryFolder folder;
  write_task(Task{}, folder / "task.toml");
  const Task read = read_task(folder / "task.toml");
  EXPECT_TRUE(read.command.empty());
  EXPECT_TRUE(read.parameters.empty());
  EXPECT_TRUE(read.cell.empty());
}

TEST(TaskFile, CutAnywhereIsRefusedWithItsName) {
  const TemporaryFolder folder;
  write_task(sample(), folder / "task.toml");
  const std::string whole = text_of(folder / "task.toml");
  // Without the last line's digits the file is still a whole one.
  for (std::size_t length = 0; length + 35 < whole.size(); ++length) {
    write_text(folder / "cut.toml", whole.substr(0, length));
    const std::string text = error_of(ExitCode::storage, [&] { read_task(folder / "cut.toml"); });
    ASSERT_NE(text.find("cut.toml"), std::string::npos) << text;
  }
  error_of(ExitCode::storage, [&] { read_task(folder / "none.toml"); });
}

}  // namespace
}  // namespace muster
