/// `muster plan` and `muster run` on tasks that need what other tasks make.

#include <gmock/gmock.h>
#include <signal.h>

#include "tests/launcher/muster_fixture.hpp"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using testing::MusterTest;
using ::testing::Not;
using testing::Stamp;
using testing::text_of;
using testing::wait_until;
using testing::write_text;

/// Two tasks `make` (n = 0 and 1), two `use` that each need the one with their n, and one `all` that needs
/// both of those. Each leaves a line in `stamps` at its start and its end.
class StagesRun : public MusterTest {
 protected:
  /// `script` runs in each task between the two lines, with $STAGE and $N.
  void study(const std::string& script, const std::string& more = "") {
    write_text(root_ / "script.sh",
               "STAGE=$1 N=$2 NEEDED=$3\necho start $STAGE$N $(date +%s.%N) >> stamps\n"
               "for file in $(tr -d '[],\"' <<<\"$NEEDED\"); do cat $file || exit 9; done\n" +
                   script +
                   "\nmkdir -p $MUSTER_TASK_FOLDER/artifacts\n"
                   "echo $STAGE$N > $MUSTER_TASK_FOLDER/artifacts/made\n"
                   "echo end $STAGE$N $(date +%s.%N) >> stamps\n");
    const std::string command =
        "workload = \"exec\"\ncommand = [\"bash\", \"" + (root_ / "script.sh").string() + "\", ";
    write_text(root_ / "experiment.toml",
               "name = \"e\"\n" + more + "[stages.make]\n" + command +
                   "\"make\", \"{n}\", \"\"]\nmatrix.grid.n = [0, 1]\n" + "[stages.use]\n" + command +
                   "\"use\", \"{n}\", \"{made}\"]\nparameters.made = { from = \"make\", file = \"made\" }\n"
                   "matrix.grid.n = [0, 1]\n[stages.all]\n" +
                   command +
                   "\"all\", \"\", \"{used}\"]\nparameters.used = [{ from = \"use\", file = \"made\" }]\n");
  }
  double time_of(const std::string& what, const std::string& task) const {
    double last = 0;
    for (const Stamp& stamp : stamps()) {
      if (stamp.what == what && stamp.task == task) last = stamp.time;
    }
    EXPECT_GT(last, 0) << what << " " << task;
    return last;
  }
  int starts_of(const std::string& task) const {
    int times = 0;
    for (const Stamp& stamp : stamps()) times += stamp.what == "start" && stamp.task == task ? 1 : 0;
    return times;
  }
  std::string state_of(const std::string& label) {
    const nlohmann::json now = status();
    if (!now.is_object()) return "no run yet";
    for (const auto& task : now.at("tasks")) {
      if (task["label"] == label) return task["state"];
    }
    return "no such task";
  }
};

TEST_F(StagesRun, EachTaskStartsWhenWhatItNeedsIsDone) {
  study("[ $STAGE$N != make1 ] || sleep 0.4");
  EXPECT_EQ(run(), 0) << output() << errors();
  EXPECT_LT(time_of("end", "make0"), time_of("start", "use0"));
  EXPECT_LT(time_of("start", "use0"), time_of("end", "make1"))
      << "it waited for a task that it does not need";
  EXPECT_LT(time_of("end", "make1"), time_of("start", "use1"));
  EXPECT_LT(time_of("end", "use1"), time_of("start", "all"));
  EXPECT_EQ(text_of(task_folder("all") / "log.txt"), "use0\nuse1\n");
  expect_each_done_once(5);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(stamps().size(), 10u) << "what is done is not run again";
}

TEST_F(StagesRun, APlanShowsTheStagesAndWhatEachTaskWaitsFor) {
  study("");
  ASSERT_EQ(run({"plan", "experiment.toml", "--cpus", "2", "--gpus", "0"}), 0) << errors();
  EXPECT_THAT(output(), HasSubstr("stage  workload  tasks  done  takes from\n"
                                  "make   exec          2     0  -\n"
                                  "use    exec          2     0  make\n"
                                  "all    exec          1     0  use\n\n"));
  EXPECT_THAT(output(), ContainsRegex("task-1  make-n1 +[0-9a-f]+ .*new +-\n"));
  EXPECT_THAT(output(), ContainsRegex("task-3  use-n1 +[0-9a-f]+ .*new +task-1\n"));
  EXPECT_THAT(output(), ContainsRegex("task-4  all +[0-9a-f]+ .*new +task-2, task-3\n"));
  ASSERT_EQ(run({"plan", "experiment.toml", "--json"}), 0);
  const auto task = nlohmann::json::parse(output())["tasks"][4];
  EXPECT_EQ(task["stage"], "all");
  EXPECT_EQ(task["needs"], (std::vector<int>{2, 3}));
}

TEST_F(StagesRun, AFailedTaskBlocksThoseThatNeedItAndNoOthers) {
  study("[ $STAGE$N != make1 ] || [ -e fixed ] || exit 3", "policy.max_attempts = 2\n");
  EXPECT_EQ(run(), 1);
  EXPECT_THAT(output(),
              AllOf(ContainsRegex("task-1-make-n1 +failed +2 "), ContainsRegex("task-2-use-n0 +done +1 "),
                    ContainsRegex("task-3-use-n1 +blocked +0 "), ContainsRegex("task-4-all +blocked +0 "),
                    HasSubstr("task-3-use-n1 is blocked: it needs task-1-make-n1, which failed")));
  EXPECT_THAT(errors(), HasSubstr("blocked, since what they need is not done: task-3, task-4"));
  EXPECT_EQ(state_of("use-n1"), "blocked");
  EXPECT_EQ(state_of("all"), "blocked");
  EXPECT_EQ(run({"status"}), 0);
  EXPECT_THAT(output(), HasSubstr("needs task-3-use-n1, which is blocked"));
  EXPECT_EQ(run({"explain", "task-3"}), 0);
  EXPECT_THAT(output(), HasSubstr("task-3-use-n1 is blocked: it needs task-1-make-n1, which failed"));
  EXPECT_THAT(text_of(run_folders().front() / "summary.csv"), HasSubstr(",blocked,"));
  write_text(root_ / "fixed", "");
  EXPECT_EQ(run(), 0) << output() << errors();
  expect_each_done_once(5);
  EXPECT_EQ(starts_of("make0"), 1);
  EXPECT_EQ(run_folders().size(), 1u);
}

TEST_F(StagesRun, WhatWaitsSaysForWhatAndGoesOnAfterAStop) {
  study("[ $STAGE$N != make1 ] || [ -e fixed ] || sleep 30");
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return state_of("use-n0") == "done"; }, 20));
  EXPECT_EQ(run({"explain", "task-4"}), 0);
  EXPECT_THAT(output(), HasSubstr("task-4-all waits for task-3\n"));
  EXPECT_EQ(run({"status"}), 0);
  EXPECT_THAT(output(), ContainsRegex("task-3-use-n1 +pending +0 +0.0 +waits for task-1\n"));
  launcher->signal(SIGINT);
  EXPECT_EQ(launcher->wait(20), 75);
  EXPECT_EQ(state_of("use-n1"), "pending");
  EXPECT_EQ(run({"explain", "task-3"}), 0);
  EXPECT_THAT(output(), HasSubstr("waits for task-1, and nothing drives the run"));
  write_text(root_ / "fixed", "");
  EXPECT_EQ(run(), 0) << output() << errors();
  expect_each_done_once(5);
}

TEST_F(StagesRun, AKilledLaunchersSuccessorStartsNothingTooEarlyOrTwice) {
  study("sleep 0.3");
  for (int kill = 0; kill < 4; ++kill) {
    const auto launcher = start_run();
    launcher->wait(0.25 + 0.1 * kill);
    if (launcher->running()) launcher->signal(SIGKILL);
    launcher->wait();
  }
  EXPECT_EQ(run(), 0) << output() << errors();
  expect_each_done_once(5);
  EXPECT_EQ(stamps().size(), 10u);
  EXPECT_LT(time_of("end", "make1"), time_of("start", "use1"));
  EXPECT_LT(time_of("end", "use1"), time_of("start", "all"));
}

TEST_F(StagesRun, TwoRunsShareWhatBothNeed) {
  study("sleep 0.4");
  const std::string smaller = text_of(root_ / "experiment.toml");
  write_text(root_ / "larger.toml",
             smaller + "[stages.more]\nworkload = \"exec\"\ncommand = [\"bash\", \"" +
                 (root_ / "script.sh").string() +
                 "\", \"more\", \"\", \"{all}\"]\nparameters.all = { from = \"all\", file = \"made\" }\n");
  const auto first = start_run();
  ASSERT_TRUE(wait_until([&] { return !stamps().empty(); }, 20));
  EXPECT_EQ(run({"run", "larger.toml"}), 0) << output() << errors();
  EXPECT_EQ(first->wait(20), 0);
  expect_each_done_once(6);
  EXPECT_EQ(stamps().size(), 12u);
}

TEST_F(StagesRun, WhatNeedsACancelledTaskDoesNotBegin) {
  study("[ $STAGE$N != make1 ] || [ -e fixed ] || sleep 30");
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return state_of("use-n0") == "done"; }, 20));
  EXPECT_EQ(run({"cancel", "--task", "make-n1", "--now"}), 0) << errors();
  EXPECT_EQ(launcher->wait(20), 75) << text_of(run_folders().front() / "run.log");
  EXPECT_EQ(state_of("use-n1"), "pending");
  write_text(root_ / "fixed", "");
  EXPECT_EQ(run(), 0) << output() << errors();
  expect_each_done_once(5);
}

TEST_F(StagesRun, TheExampleRuns) {
  std::filesystem::copy_file(MUSTER_STAGES_EXAMPLE, root_ / "experiment.toml");
  EXPECT_EQ(run(), 0) << output() << errors();
  EXPECT_THAT(output(), AllOf(HasSubstr("[task-8-compare-seed1] the parts make the whole"),
                              HasSubstr("[task-9-compare-seed2] the parts make the whole"),
                              HasSubstr("10 of 10 tasks done"), Not(HasSubstr("blocked"))));
}

}  // namespace
}  // namespace muster
