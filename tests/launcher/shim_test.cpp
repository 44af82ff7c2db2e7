#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "core/durable_file.hpp"
#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "launcher/exit_record.hpp"
#include "launcher/gang_order.hpp"
#include "launcher/process_table.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::Process;
using testing::text_of;
using testing::wait_until;

/// A task's folder with one attempt that waits for a shim.
class Shim : public ::testing::Test {
 protected:
  Shim() : attempt_((root_ / "attempt-1")) { std::filesystem::create_directories(attempt_.folder()); }

  ~Shim() override { end_processes_with_environment(mark()); }

  std::string mark() const { return "MUSTER_ATTEMPT=" + attempt_.folder().string(); }

  void order(const std::string& script) {
    order_.argv = {"bash", "-c", script};
    order_.environment["MUSTER_ATTEMPT"] = attempt_.folder().string();
    order_.claim = root_ / "claim-1";
    order_.launcher = own_identity();
    order_.working_folder = root_.path();
    write_order();
  }

  void write_order() { testing::write_text(attempt_.gang(), gang_order_to_json(order_)); }

  bool claimed() const { return std::filesystem::exists(order_.claim); }
  bool gone() const { return processes_with_environment(mark()).empty(); }

  testing::TemporaryFolder root_;
  AttemptPaths attempt_;
  GangOrder order_;
};

TEST_F(Shim, RecordsWhatTheCommandReturned) {
  order("echo to stdout; echo to stderr >&2; exit 7");
  Process shim({MUSTER_SHIM, attempt_.folder()});
  EXPECT_EQ(shim.wait(), 0);
  const auto json = nlohmann::json::parse(read_text(attempt_.exit_record()));
  EXPECT_EQ(json.at("exit_code"), 7);
  EXPECT_EQ(json.at("signal"), 0);
  EXPECT_GE(json.at("ended").get<double>(), json.at("started").get<double>());
  EXPECT_EQ(json.size(), 4u);
  EXPECT_EQ(text_of(attempt_.log()), "to stdout\nto stderr\n");
}

TEST_F(Shim, ClaimNamesTheShimItself) {
  order("sleep 60");
  Process shim({MUSTER_SHIM, attempt_.folder()});
  ASSERT_TRUE(wait_until([&] { return claimed(); }));
  EXPECT_EQ(identity_from_json(read_text(order_.claim)), identity_of(shim.pid()));
}

TEST_F(Shim, LoserOfTheClaimStartsNothing) {
  order("echo started >> starts; sleep 0.2");
  std::vector<std::unique_ptr<Process>> shims;
  for (int i = 0; i < 8; ++i) {
    shims.push_back(std::make_unique<Process>(std::vector<std::string>{MUSTER_SHIM, attempt_.folder()}));
  }
  std::map<int, int> codes;
  for (auto& shim : shims) ++codes[shim->wait()];
  EXPECT_THAT(codes, ::testing::UnorderedElementsAre(::testing::Pair(0, 1), ::testing::Pair(8, 7)));
  EXPECT_EQ(text_of(root_ / "starts"), "started\n");
  EXPECT_EQ(text_of(attempt_.log()), "");
}

TEST_F(Shim, NoShellSeesTheArguments) {
  order("");
  order_.argv = {"printf", "%s\n", "$HOME; `id` 'x' \"y\" *"};
  write_order();
  Process shim({MUSTER_SHIM, attempt_.folder()});
  shim.wait();
  EXPECT_EQ(text_of(attempt_.log()), "$HOME; `id` 'x' \"y\" *\n");
}

TEST_F(Shim, GangHasItsEnvironmentFolderAndCpus) {
  order("echo $ADDED; pwd; taskset -cp $BASHPID | sed 's/.*: //'; readlink /proc/self/fd/0");
  cpu_set_t own;
  ASSERT_EQ(sched_getaffinity(0, sizeof own, &own), 0);
  int last = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &own)) last = cpu;
  }
  order_.cpus = {last};
  order_.environment["ADDED"] = "a b";
  write_order();
  Process shim({MUSTER_SHIM, attempt_.folder()});
  shim.wait();
  EXPECT_EQ(text_of(attempt_.log()),
            "a b\n" + root_.path().string() + "\n" + std::to_string(last) + "\n/dev/null\n");
}

TEST_F(Shim, KilledCommandIsRecordedWithItsSignal) {
  order("kill -SEGV $BASHPID; sleep 60");
  Process shim({MUSTER_SHIM, attempt_.folder()});
  EXPECT_EQ(shim.wait(), 0);
  const auto record = read_exit_record(attempt_.exit_record());
  ASSERT_TRUE(record);
  EXPECT_EQ(record->signal, SIGSEGV);
  EXPECT_EQ(record->exit_code, 128 + SIGSEGV);
}

TEST_F(Shim, MissingCommandIsNamedInTheLog) {
  order("");
  order_.argv = {"no-such-command-anywhere"};
  write_order();
  Process shim({MUSTER_SHIM, attempt_.folder()});
  shim.wait();
  EXPECT_EQ(read_exit_record(attempt_.exit_record())->exit_code, 127);
  EXPECT_EQ(text_of(attempt_.log()),
            "muster-shim: cannot start 'no-such-command-anywhere': No such file or directory\n");
}

/// What stands for srun starts `script` once a rank and returns 0 whatever the ranks do.
class ShimOfAStep : public Shim {
 protected:
  ExitRecord end_of(const std::string& script, int ranks_that_start = 2) {
    order("for r in $(seq 0 " + std::to_string(ranks_that_start - 1) + "); do SLURM_PROCID=$r " +
          MUSTER_SHIM + " --rank bash -c '" + script + "'; done; exit 0");
    order_.ranks.resize(2);
    order_.ranks_report = true;
    write_order();
    Process shim({MUSTER_SHIM, attempt_.folder()});
    EXPECT_EQ(shim.wait(), 0);
    return read_exit_record(attempt_.exit_record()).value();
  }
};

TEST_F(ShimOfAStep, ZeroCountsWhereEveryRankReturnedIt) {
  const ExitRecord end = end_of("exit 0");
  EXPECT_EQ(end.exit_code, 0);
  EXPECT_FALSE(end.lost_ranks);
}

TEST_F(ShimOfAStep, ZeroDoesNotCountWhereARankWasNeverStarted) {
  const ExitRecord end = end_of("exit 0", 1);
  EXPECT_NE(end.exit_code, 0);
  EXPECT_TRUE(end.lost_ranks);
  EXPECT_THAT(text_of(attempt_.log()), ::testing::HasSubstr("1 of 2 ranks did not, such as rank 1"));
}

TEST_F(ShimOfAStep, ZeroDoesNotCountWhereARankFailedOrWasKilled) {
  EXPECT_TRUE(end_of("exit $SLURM_PROCID").lost_ranks);
  EXPECT_EQ(text_of(attempt_.rank_end(1)), "1\n");
}

TEST_F(ShimOfAStep, TellsAFailureOfSlurmFromOneOfTheTask) {
  EXPECT_TRUE(end_of("exit 0", 0).never_started);
  order("SLURM_PROCID=0 " MUSTER_SHIM " --rank false; exit 1");
  order_.claim = root_ / "claim-2";
  write_order();
  Process({MUSTER_SHIM, attempt_.folder()}).wait();
  const auto end = read_exit_record(attempt_.exit_record());
  EXPECT_EQ(end->exit_code, 1);
  EXPECT_FALSE(end->never_started);
}

TEST_F(ShimOfAStep, ARankEndsAsItsCommandDid) {
  std::filesystem::create_directories(attempt_.folder());
  const auto code_of = [&](const std::string& script) {
    return Process({MUSTER_SHIM, "--rank", "bash", "-c", script},
                   {{{"MUSTER_ATTEMPT", attempt_.folder().string()}, {"SLURM_PROCID", "0"}},
                    {},
                    root_ / "said",
                    {}})
        .wait();
  };
  EXPECT_EQ(code_of("exit 75"), 75);
  EXPECT_EQ(code_of("kill -SEGV $$"), 128 + SIGSEGV);
  EXPECT_EQ(text_of(attempt_.rank_end(0)), "139\n");
  EXPECT_EQ(code_of("kill -USR1 $PPID; exit 4"), 4) << "its signals are not its own";
}

TEST_F(Shim, LeavesNothingOfAGangThatEnded) {
  // Grandchildren in sessions of their own, orphaned, one of them deaf to SIGTERM.
  order(
      "setsid sleep 1000 & setsid bash -c 'trap \"\" TERM; sleep 1001; sleep 1002' & (setsid sleep 1003 &) ; "
      "sleep 0.1; exit 3");
  Process shim({MUSTER_SHIM, attempt_.folder()});
  EXPECT_EQ(shim.wait(), 0);
  EXPECT_TRUE(gone());
  EXPECT_EQ(read_exit_record(attempt_.exit_record())->exit_code, 3);
}

TEST_F(Shim, SigkillOfTheShimKillsItsChildAndLeavesNoRecord) {
  order("setsid sleep 1000 & echo $BASHPID > child; sleep 1001");
  Process shim({MUSTER_SHIM, attempt_.folder()});
  ASSERT_TRUE(wait_until([&] { return !text_of(root_ / "child").empty(); }));
  const int child = std::stoi(text_of(root_ / "child"));
  ASSERT_EQ(liveness(identity_of(child)), Liveness::alive);
  shim.signal(SIGKILL);
  EXPECT_EQ(shim.wait(), 128 + SIGKILL);
  EXPECT_TRUE(
      wait_until([&] { return kill(child, 0) != 0 || liveness(identity_of(child)) == Liveness::dead; }));
  EXPECT_FALSE(std::filesystem::exists(attempt_.exit_record()));
  EXPECT_EQ(liveness(identity_from_json(read_text(order_.claim))), Liveness::dead);
  // What had a session of its own is found by its environment.
  EXPECT_FALSE(gone());
  EXPECT_GE(end_processes_with_environment(mark()), 1);
  EXPECT_TRUE(gone());
}

TEST_F(Shim, ForwardsSaveAndStopToTheCommand) {
  order("trap 'echo saved; exit 75' USR1; echo ready; while :; do sleep 0.02; done");
  Process shim({MUSTER_SHIM, attempt_.folder()});
  ASSERT_TRUE(wait_until([&] { return text_of(attempt_.log()) == "ready\n"; }));
  shim.signal(SIGUSR1);
  EXPECT_EQ(shim.wait(), 0);
  EXPECT_EQ(read_exit_record(attempt_.exit_record())->exit_code, 75);
  EXPECT_EQ(text_of(attempt_.log()), "ready\nsaved\n");
}

TEST_F(Shim, SigtermEndsAGangThatIsDeafToIt) {
  order(
      "trap '' TERM; setsid bash -c 'trap \"\" TERM; echo ready; while :; do sleep 1; done' & wait; while :; "
      "do sleep 1; done");
  order_.kill_after_seconds = 0.3;
  write_order();
  Process shim({MUSTER_SHIM, attempt_.folder()});
  ASSERT_TRUE(wait_until([&] { return text_of(attempt_.log()) == "ready\n"; }));
  shim.signal(SIGTERM);
  EXPECT_EQ(shim.wait(10), 0);
  EXPECT_TRUE(gone());
  EXPECT_EQ(read_exit_record(attempt_.exit_record())->signal, SIGKILL);
}

TEST_F(Shim, OutlivesTheOneThatStartedIt) {
  order("sleep 0.5; echo went on");
  Process launcher(
      {"bash", "-c", "setsid " MUSTER_SHIM " '" + attempt_.folder().string() + "' & exec sleep 60"});
  ASSERT_TRUE(wait_until([&] { return claimed(); }));
  launcher.signal(SIGKILL);
  EXPECT_TRUE(wait_until([&] { return std::filesystem::exists(attempt_.exit_record()); }));
  EXPECT_EQ(text_of(attempt_.log()), "went on\n");
}

}  // namespace
}  // namespace muster
