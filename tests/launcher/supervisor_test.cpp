/// The supervisor on an allocation whose slots the test chooses; shims and gangs are real.

#include "launcher/supervisor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "core/run_paths.hpp"
#include "launcher/local_allocation.hpp"
#include "launcher/plan.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

/// This machine, till a given time: as a job that ends.
class EndingAllocation : public LocalAllocation {
 public:
  EndingAllocation(LocalAllocationOptions options, double seconds)
      : LocalAllocation(std::move(options)), end_(unix_now() + seconds) {}
  std::optional<double> deadline() const override { return end_; }

 private:
  static double unix_now() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  }
  double end_;
};

/// A Slurm that makes no step until it is told.
class BusyAllocation : public LocalAllocation {
 public:
  using LocalAllocation::LocalAllocation;
  void start(const AttemptPaths& attempt) override {
    ++starts;
    LocalAllocation::start(attempt);
  }
  bool came_up(const Task&, const AttemptPaths&) const override { return makes_steps; }
  int starts = 0;
  bool makes_steps = false;
};

class Supervised : public ::testing::Test {
 protected:
  Supervised() : paths_(root_.path(), "e") {}

  void add_task(const std::string& script, const Resources& resources) {
    Task task;
    task.label = "t" + std::to_string(plan_.tasks.size());
    task.id = "0" + std::to_string(plan_.tasks.size());
    task.workload = "exec";
    task.command = {"bash", "-c", script};
    task.parameters["seed"] = Value(0);
    task.resources = resources;
    plan_.tasks.push_back({static_cast<int>(plan_.tasks.size()), task, std::nullopt});
  }

  /// All tasks of the plan to their end; false where that took more than 30 s.
  bool drive(const Slots& slots, double seconds_left = 1e6) {
    const RunPaths run = paths_.run("2026-01-01T00-00-00");
    Console console(1, Console::Mode::quiet);
    Journal journal(run.journal_folder() / "launcher-1.jsonl");
    RunLog log(run.log(), console);
    EndingAllocation allocation({slots, std::filesystem::path(MUSTER_SHIM).parent_path(), root_.path()},
                                seconds_left);
    Supervisor supervisor(paths_, plan_, {}, journal, log, allocation);
    supervisor.look();
    const bool ended = testing::wait_until(
        [&] {
          supervisor.tick(StopSignals::Request::none);
          return supervisor.finished(StopSignals::Request::none) || supervisor.out_of_time();
        },
        30);
    for (const auto& task : supervisor.tasks()) states_.insert(task.state);
    return ended;
  }

  testing::TemporaryFolder root_;
  ExperimentPaths paths_;
  Plan plan_;
  std::multiset<TaskState> states_;
  const std::vector<std::string> gpu_names_{"0", "1", "5", "GPU-8f"};
};

TEST_F(Supervised, FourTasksAtOnceHaveFourGpus) {
  Resources one_gpu;
  one_gpu.gpus_per_rank = 1;
  for (int task = 0; task < 4; ++task) {
    // Each waits for all four: that they end well says that they ran at once.
    add_task(
        "echo $CUDA_VISIBLE_DEVICES >> gpus; for i in $(seq 400); do [ $(wc -l < gpus) = 4 ] && exit 0; "
        "sleep 0.02; "
        "done; exit 1",
        one_gpu);
  }
  ASSERT_TRUE(drive({{0, 1, 2, 3}, gpu_names_, ""}));
  EXPECT_EQ(states_.count(TaskState::done), 4u);
  std::ifstream file(root_ / "gpus");
  std::multiset<std::string> gpus;
  for (std::string line; std::getline(file, line);) gpus.insert(line);
  EXPECT_EQ(gpus, std::multiset<std::string>(gpu_names_.begin(), gpu_names_.end()));
}

TEST_F(Supervised, FourTasksAtOnceShareTwoGpus) {
  Resources half_a_gpu;
  half_a_gpu.gpus_per_rank = 1;
  half_a_gpu.ranks_per_gpu = 2;
  half_a_gpu.gpu_sharing = GpuSharing::time_slicing;
  for (int task = 0; task < 4; ++task) {
    add_task(
        "echo $CUDA_VISIBLE_DEVICES >> gpus; for i in $(seq 400); do [ $(wc -l < gpus) = 4 ] && exit 0; "
        "sleep 0.02; done; exit 1",
        half_a_gpu);
  }
  ASSERT_TRUE(drive({{0, 1, 2, 3, 4, 5}, {"3", "GPU-8f"}, ""}));
  EXPECT_EQ(states_.count(TaskState::done), 4u);
  std::ifstream file(root_ / "gpus");
  std::multiset<std::string> gpus;
  for (std::string line; std::getline(file, line);) gpus.insert(line);
  EXPECT_EQ(gpus, (std::multiset<std::string>{"3", "3", "GPU-8f", "GPU-8f"}));
}

TEST_F(Supervised, FourGpusDoFourTasksInAQuarterOfTheTime) {
  Resources one_gpu;
  one_gpu.gpus_per_rank = 1;
  for (int task = 0; task < 4; ++task) add_task("echo $CUDA_VISIBLE_DEVICES >> gpus; sleep 3", one_gpu);
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(drive({{0, 1, 2, 3}, gpu_names_, ""}));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  EXPECT_EQ(states_.count(TaskState::done), 4u);
  std::ifstream file(root_ / "gpus");
  std::multiset<std::string> gpus;
  for (std::string line; std::getline(file, line);) gpus.insert(line);
  EXPECT_EQ(gpus, std::multiset<std::string>(gpu_names_.begin(), gpu_names_.end()));
  EXPECT_GE(4 * 3 / took.count(), 3.5) << "one after the other they sleep for 12 s";
}

TEST_F(Supervised, ExclusiveTaskSeesNoOther) {
  Resources alone;
  alone.exclusive = true;
  const std::string script = "mkdir -p busy; touch busy/$MUSTER_TASK_ID; sleep 0.1; ";
  add_task(script + "rm busy/$MUSTER_TASK_ID", {});
  add_task(script + "ls busy | wc -l > seen; rm busy/$MUSTER_TASK_ID", alone);
  add_task(script + "rm busy/$MUSTER_TASK_ID", {});
  ASSERT_TRUE(drive({{0, 1, 2, 3}, {}, ""}));
  EXPECT_EQ(states_.count(TaskState::done), 3u);
  EXPECT_EQ(testing::text_of(root_ / "seen"), "1\n");
}

TEST_F(Supervised, MoreTasksThanSlotsAllGetTheirTurn) {
  for (int task = 0; task < 12; ++task) {
    Resources resources;
    resources.ranks = 1;
    resources.cpus_per_rank = 1 + task % 3;
    add_task("echo $MUSTER_CPUS >> cpus", resources);
  }
  ASSERT_TRUE(drive({{0, 1, 2}, {}, ""}));
  EXPECT_EQ(states_.count(TaskState::done), 12u);
}

TEST_F(Supervised, FirstTaskOfAJobStartsHoweverShortTheJobIsAndNoOtherAfterIt) {
  for (int task = 0; task < 3; ++task) add_task("true", {});
  ASSERT_TRUE(drive({{0}, {}, ""}, 20));
  EXPECT_EQ(states_.count(TaskState::done), 1u);
  EXPECT_EQ(states_.count(TaskState::pending), 2u);
}

TEST_F(Supervised, TaskIsNotStartedThatCannotReachACheckpointInTheTimeLeft) {
  add_task("true", {});
  add_task("true", {});
  const TaskPaths slow = paths_.task(plan_.tasks[1].task.folder_name());
  const AttemptPaths before(slow.attempt(1));
  std::filesystem::create_directories(before.folder());
  testing::write_text(slow.claim(1), "");
  testing::write_text(before.events(), R"({"time": 1400, "event": "checkpoint", "step": 8})"
                                       "\n");
  testing::write_text(before.exit_record(),
                      R"({"exit_code": 75, "signal": 0, "started": 1000, "ended": 1410})");
  ASSERT_TRUE(drive({{0}, {}, ""}, 300));
  EXPECT_EQ(states_.count(TaskState::done), 1u);
  EXPECT_EQ(states_.count(TaskState::pending), 1u);
  states_.clear();
  ASSERT_TRUE(drive({{0}, {}, ""}, 600));
  EXPECT_EQ(states_.count(TaskState::done), 2u);
}

TEST_F(Supervised, ATaskAloneGoesByTheFoldersOfWhatItNeeds) {
  add_task("true", {});
  plan_.tasks[0].task.needs = {"other-77"};
  ASSERT_TRUE(drive({{0}, {}, ""}));
  EXPECT_EQ(states_.count(TaskState::blocked), 1u);
  testing::write_text(paths_.task("other-77").done(), "{}");
  ASSERT_TRUE(drive({{0}, {}, ""}));
  EXPECT_EQ(states_.count(TaskState::done), 1u);
}

TEST_F(Supervised, AJobThatEndsTooSoonForWhatIsNeededBeginsNothingThatNeedsIt) {
  for (int task = 0; task < 3; ++task) add_task("true", {});
  plan_.tasks[2].task.needs = {plan_.tasks[1].task.folder_name()};
  ASSERT_TRUE(drive({{0}, {}, ""}, 20));
  EXPECT_EQ(states_.count(TaskState::done), 1u);
  EXPECT_EQ(states_.count(TaskState::pending), 2u);
}

TEST_F(Supervised, StartsThatSlurmHasNotCarriedOutAreNeverACrowd) {
  constexpr int kMost = 64, kTasks = 70;
  for (int i = 0; i < kTasks; ++i) add_task("sleep 3", {});
  Slots slots;
  for (int cpu = 0; cpu < 2 * kTasks; ++cpu) slots.cpus.push_back(cpu);
  const RunPaths run = paths_.run("2026-01-01T00-00-00");
  Console console(1, Console::Mode::quiet);
  Journal journal(run.journal_folder() / "launcher-1.jsonl");
  RunLog log(run.log(), console);
  BusyAllocation allocation({slots, std::filesystem::path(MUSTER_SHIM).parent_path(), root_.path()});
  Supervisor supervisor(paths_, plan_, {}, journal, log, allocation);
  const auto tick = [&] { supervisor.tick(StopSignals::Request::none); };
  supervisor.look();
  tick();
  tick();
  EXPECT_EQ(allocation.starts, kMost);
  allocation.makes_steps = true;
  tick();
  EXPECT_EQ(allocation.starts, kTasks);
  EXPECT_TRUE(
      testing::wait_until([&] { return tick(), supervisor.finished(StopSignals::Request::none); }, 30));
}

}  // namespace
}  // namespace muster
