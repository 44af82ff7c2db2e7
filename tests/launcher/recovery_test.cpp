/// What survives kill -9, races and bad disks. All processes, kills and mounts are real.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "core/process_identity.hpp"
#include "launcher/process_table.hpp"
#include "tests/launcher/muster_fixture.hpp"

namespace muster {
namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;
using testing::MusterTest;
using testing::text_of;
using testing::wait_until;

class Recovery : public MusterTest {
 protected:
  std::ptrdiff_t error_lines() const {
    const std::string text = errors();
    return std::count(text.begin(), text.end(), '\n');
  }

  void pause(int milliseconds) const { std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds)); }
};

TEST_F(Recovery, KilledLaunchersNeverRunATaskTwice) {
  for (unsigned seed = 0; seed < 3; ++seed) {
    std::mt19937 random(seed);
    std::filesystem::remove_all(root_ / "runs");
    std::filesystem::remove(root_ / "stamps");
    experiment(counting_script(0.15), 6);
    for (int kill = 0; kill < 6; ++kill) {
      const auto launcher = start_run();
      pause(static_cast<int>(random() % 350));
      launcher->signal(SIGKILL);
      launcher->wait();
    }
    EXPECT_EQ(run(), 0) << "seed " << seed << output() << errors();
    expect_each_done_once(6);
    // A launcher's death is no reason to start again: the gang went on.
    EXPECT_EQ(stamps().size(), 12u) << "seed " << seed << "\n" << text_of(root_ / "stamps");
    EXPECT_EQ(run_folders().size(), 1u);
  }
}

TEST_F(Recovery, KilledShimsAndLaunchersNeverRunATaskTwiceAtOnce) {
  experiment("exec 9> lock-$N; flock -n 9 || echo two $N >> collisions\n" + counting_script(0.2), 4,
             "[policy]\nmax_attempts = 50");
  std::mt19937 random(7);
  for (int kill = 0; kill < 8; ++kill) {
    const auto launcher = start_run();
    pause(static_cast<int>(random() % 250));
    if (kill % 2 == 0) launcher->signal(SIGKILL);
    for (const char* label : {"n0", "n1", "n2", "n3"}) {
      const auto folder = task_folder(label);
      if (folder.empty() || random() % 2 == 0) continue;
      for (int attempt = 30; attempt > 0; --attempt) {
        const std::string claim = text_of(folder / ("claim-" + std::to_string(attempt)));
        if (claim.empty()) continue;
        const auto shim = identity_from_json(claim);
        if (liveness(shim) == Liveness::alive) ::kill(shim.pid, SIGKILL);
        break;
      }
    }
    launcher->signal(SIGKILL);
    launcher->wait();
  }
  EXPECT_EQ(run(), 0) << output() << errors();
  EXPECT_EQ(text_of(root_ / "collisions"), "");
  expect_each_done_once(4);
}

TEST_F(Recovery, NextLauncherGoesOnWithTheLogWhereTheDeadOneStopped) {
  experiment("for i in 1 2 3 4 5 6 7 8 9; do echo line $i; [ $i = 4 ] && touch half; sleep 0.05; done", 1);
  auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(root_ / "half"); }));
  launcher->signal(SIGKILL);
  launcher->wait();
  EXPECT_EQ(run(), 0);
  std::string expected;
  for (int line = 1; line <= 9; ++line) expected += "[task-0-n0] line " + std::to_string(line) + "\n";
  std::string found;
  std::istringstream log(text_of(run_folders().front() / "run.log"));
  for (std::string line; std::getline(log, line);) {
    if (line.starts_with("[task-0-n0] line")) found += line + "\n";
  }
  EXPECT_EQ(found, expected);
}

TEST_F(Recovery, GangThatEndedUnwatchedIsBooked) {
  experiment(counting_script(0.2), 1);
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return stamps().size() == 1; }));
  launcher->signal(SIGKILL);
  launcher->wait();
  ASSERT_TRUE(wait_until([&] { return std::filesystem::exists(task_folder("n0") / "attempt-1/exit.json"); }));
  EXPECT_EQ(status().at("tasks").at(0).at("state"), "interrupted");
  EXPECT_EQ(run(), 0);
  EXPECT_THAT(output(), HasSubstr("ended while no launcher watched"));
  EXPECT_EQ(stamps().size(), 2u);
  EXPECT_EQ(status().at("tasks").at(0).at("state"), "done");
}

TEST_F(Recovery, LeftoversOfAKilledShimAreEndedBeforeTheNextAttempt) {
  experiment(
      "if [ ! -e leftover ]; then setsid sleep 1000 & echo $! > leftover; sleep 1001; fi\n"
      "grep -q '^State:.[^ZX]' /proc/$(cat leftover)/status && touch survived; true",
      1);
  auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return !text_of(root_ / "leftover").empty(); }));
  const auto shim = identity_from_json(text_of(task_folder("n0") / "claim-1"));
  kill(shim.pid, SIGKILL);
  EXPECT_EQ(launcher->wait(), 0);
  EXPECT_FALSE(std::filesystem::exists(root_ / "survived"));
  EXPECT_THAT(output(), HasSubstr("left behind"));
  EXPECT_TRUE(
      processes_with_environment("MUSTER_ATTEMPT=" + (task_folder("n0") / "attempt-1").string()).empty());
  EXPECT_TRUE(std::filesystem::exists(task_folder("n0") / "attempt-2/exit.json"));
}

TEST_F(Recovery, SecondLauncherOnARunIsToldWhoDrivesIt) {
  experiment("while [ ! -e go ]; do sleep 0.02; done", 1);
  const auto first = start_run();
  ASSERT_TRUE(wait_until([&] { return output().find("==== attempt 1") != std::string::npos; }));
  const auto second = start_run();
  EXPECT_EQ(second->wait(), 8);
  EXPECT_THAT(errors(),
              HasSubstr("another launcher drives this run: process " + std::to_string(first->pid())));
  testing::write_text(root_ / "go", "");
  EXPECT_EQ(first->wait(), 0);
}

TEST_F(Recovery, RacingLaunchersRunEachTaskOnce) {
  for (int round = 0; round < 4; ++round) {
    std::filesystem::remove_all(root_ / "runs");
    std::filesystem::remove(root_ / "stamps");
    experiment(counting_script(0.1), 4);
    std::vector<std::unique_ptr<testing::Process>> launchers;
    for (int i = 0; i < 4; ++i) launchers.push_back(start_run());
    int finished = 0;
    for (auto& launcher : launchers) {
      const int code = launcher->wait();
      EXPECT_THAT(code, AnyOf(0, 8)) << errors();
      finished += code == 0 ? 1 : 0;
    }
    EXPECT_GE(finished, 1);
    expect_each_done_once(4);
    EXPECT_EQ(stamps().size(), 8u);
  }
}

TEST_F(Recovery, TaskOfAnotherRunIsFollowedNotRunAgain) {
  experiment("echo start $N >> stamps; while [ ! -e go ]; do sleep 0.02; done", 1);
  const auto first = start_run();
  ASSERT_TRUE(wait_until([&] { return !text_of(root_ / "stamps").empty(); }));
  const std::string text = text_of(root_ / "experiment.toml");
  testing::write_text(root_ / "experiment.toml", text.substr(0, text.find("n = [")) + "n = [0, 1]\n");
  const auto second = start_run();
  ASSERT_TRUE(wait_until([&] { return output().find("is another run's") != std::string::npos; }));
  pause(300);
  testing::write_text(root_ / "go", "");
  EXPECT_EQ(first->wait(), 0);
  EXPECT_EQ(second->wait(), 0) << errors();
  EXPECT_EQ(text_of(root_ / "stamps"), "start 0\nstart 1\n");
}

TEST_F(Recovery, StoppedByADeadLauncherGoesOn) {
  experiment(
      "trap 'echo stopping; sleep 0.3; touch saved; exit 75' USR1; [ -e saved ] && exit 0; echo ready; while "
      ":; do sleep "
      "0.02; done",
      1);
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return output().find("ready") != std::string::npos; }));
  launcher->signal(SIGINT);
  ASSERT_TRUE(
      wait_until([&] { return text_of(task_folder("n0") / "attempt-1/log.txt") == "ready\nstopping\n"; }));
  launcher->signal(SIGKILL);
  launcher->wait();
  EXPECT_EQ(run(), 0) << output();
}

/// A small file system of the test's own, mounted over the runs' folder.
class Mounted {
 public:
  Mounted(const std::filesystem::path& folder, unsigned long flags, const char* options) : folder_(folder) {
    std::filesystem::create_directories(folder);
    mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", flags, options) == 0;
  }
  ~Mounted() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  bool is_there() const { return mounted_; }

 private:
  std::filesystem::path folder_;
  bool mounted_ = false;
};

TEST_F(Recovery, ReadOnlyResultsAreOneError) {
  experiment("true", 1);
  const Mounted runs(root_ / "runs", MS_RDONLY, "size=1m");
  if (!runs.is_there()) GTEST_SKIP() << "needs the right to mount a file system";
  EXPECT_EQ(run(), 6);
  EXPECT_THAT(errors(), HasSubstr("Read-only file system"));
  EXPECT_THAT(errors(), HasSubstr("--runs"));
  EXPECT_EQ(error_lines(), 1);
}

TEST_F(Recovery, FullResultsAreOneErrorAndTheRunGoesOnOnceThereIsRoom) {
  experiment(counting_script(0), 1);
  {
    const Mounted runs(root_ / "runs", 0, "size=1m");
    if (!runs.is_there()) GTEST_SKIP() << "needs the right to mount a file system";
    std::ofstream ballast(root_ / "runs/ballast");
    ballast << std::string(2 << 20, 'x');
    ballast.close();
    EXPECT_EQ(run(), 6);
    EXPECT_THAT(errors(), HasSubstr("No space left on device"));
    EXPECT_EQ(error_lines(), 1);
    // Nothing half made: what is there is the ballast and whole folders.
    EXPECT_TRUE(run_folders().empty());
    std::filesystem::remove(root_ / "runs/ballast");
    EXPECT_EQ(run(), 0) << errors();
  }
  expect_each_done_once(1);
}

TEST_F(Recovery, LauncherThatWasTakenForDeadEndsItsGangsAndStartsNothing) {
  experiment(counting_script(30), 200);
  const auto orphan = start({"run", "experiment.toml", "--cpus", "2"});
  ASSERT_TRUE(wait_until([&] { return stamps().size() == 2; }, 20));
  testing::write_text(run_folders().front() / "launcher-2", "{}");
  EXPECT_EQ(orphan->wait(), 8);
  EXPECT_THAT(errors(), HasSubstr("took this one for dead"));
  EXPECT_TRUE(wait_until(
      [&] { return processes_with_environment("MUSTER_TEST_ROOT=" + root_.path().string()).empty(); }, 10));
  EXPECT_EQ(stamps().size(), 2u);
}

}  // namespace
}  // namespace muster
