/// `muster submit`, and what watches and ends what it asked for, on a real cluster.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "launcher/process_table.hpp"
#include "tests/slurm/cluster_fixture.hpp"
#include "tests/support/processes.hpp"

namespace muster::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

struct Said {
  int code = 0;
  std::string out, err;
};

class Submit : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    setenv("MUSTER_RUNS", (root_ / "runs").c_str(), 1);
    setenv("XDG_CONFIG_HOME", (root_ / "config").c_str(), 1);
  }
  void TearDown() override {
    end_processes_with_environment("MUSTER_RUNS=" + (root_ / "runs").string());
    ClusterTest::TearDown();
  }

  /// Tasks of one GPU that run `script` with $1 = 0, 1, ...
  void experiment(const std::string& script, int tasks, const std::string& more = "") {
    std::string cells;
    for (int task = 0; task < tasks; ++task) cells += (task == 0 ? "" : ", ") + std::to_string(task);
    write_text(root_ / "task.sh", script + "\n");
    write_text(root_ / "e.toml",
               "name = \"e\"\nworkload = \"exec\"\ncommand = [\"bash\", \"task.sh\", \"{n}\"]\n[resources]\n"
               "gpus_per_rank = 1\n[policy]\nkill_after_seconds = 5\n[matrix.grid]\nn = [" +
                   cells + "]\n" + more);
  }

  /// Tasks 0 and 1 `make`, 2 and 3 `use` what one of those made, 4 `all` that 2 and 3 made.
  void stages(const std::string& script) {
    write_text(root_ / "task.sh",
               "echo $1$2 >> began\ncat $(tr -d '[],\"' <<<\"$3\") </dev/null || exit 9\n" + script +
                   "\nmkdir -p $MUSTER_TASK_FOLDER/artifacts\necho $1$2 | tee -a ended > "
                   "$MUSTER_TASK_FOLDER/artifacts/made\n");
    const std::string command = "workload = \"exec\"\ncommand = [\"bash\", \"task.sh\", ";
    write_text(root_ / "e.toml",
               "name = \"e\"\npolicy.max_attempts = 1\n[stages.make]\n" + command +
                   "\"make\", \"{n}\", \"\"]\nmatrix.grid.n = [0, 1]\n[stages.use]\n" + command +
                   "\"use\", \"{n}\", \"{made}\"]\nparameters.made = { from = \"make\", file = \"made\" }\n"
                   "matrix.grid.n = [0, 1]\n[stages.all]\n" +
                   command +
                   "\"all\", \"\", \"{used}\"]\nparameters.used = [{ from = \"use\", file = \"made\" }]\n");
  }

  Said muster(std::vector<std::string> arguments,
              const std::map<std::string, std::string>& environment = {}) {
    arguments.insert(arguments.begin(), MUSTER_PROGRAM);
    Process process(arguments, {environment, root_.path(), root_ / "out", root_ / "err"});
    Said said{process.wait(60), text_of(root_ / "out"), text_of(root_ / "err")};
    fs::remove(root_ / "out");
    fs::remove(root_ / "err");
    return said;
  }
  Json json(std::vector<std::string> arguments) {
    arguments.emplace_back("--json");
    const Said said = muster(std::move(arguments));
    EXPECT_EQ(said.code, 0) << said.err;
    return Json::parse(said.out, nullptr, false);
  }
  bool wait_for_tasks(const std::string& state, std::size_t number, double seconds = 40) {
    return wait_until(
        [&] {
          std::size_t found = 0;
          const Json status = json({"status"});
          for (const Json& task : status["tasks"]) found += task["state"] == state ? 1 : 0;
          return found == number;
        },
        seconds);
  }
  std::string queue() { return said_by({"squeue", "--noheader", "--format=%i %T %r %k"}); }
  std::vector<std::string> lines(const std::string& file) const {
    std::vector<std::string> found;
    std::istringstream text(text_of(root_ / file));
    for (std::string line; std::getline(text, line);) found.push_back(line);
    return found;
  }
  /// A command that is found in the place of `name`; "$REAL" in it is the real one.
  std::map<std::string, std::string> in_place_of(const std::string& name, std::string script) {
    const std::string real = said_by({"bash", "-c", "command -v " + name});
    for (std::size_t at; (at = script.find("$REAL")) != std::string::npos;) script.replace(at, 5, real);
    fs::create_directories(root_ / "bin");
    write_text(root_ / "bin" / name, "#!/bin/bash\n" + script + "\n");
    chmod((root_ / "bin" / name).c_str(), 0755);
    return {{"PATH", (root_ / "bin").string() + ":" + std::getenv("PATH")}};
  }

  TemporaryFolder root_;
};

TEST_F(Submit, FourTasksAreOneJobEachOnAGpuOfItsOwn) {
  experiment("echo $CUDA_VISIBLE_DEVICES >> gpus; sleep 2", 4);
  const Json submitted = json({"submit", "e.toml"});
  EXPECT_EQ(submitted["submissions"].size(), 1u);
  EXPECT_EQ(submitted["submissions"][0]["gpus_per_node"], 4);
  const std::string job = submitted["submissions"][0]["job"];
  const Said again = muster({"submit", "e.toml"});
  EXPECT_EQ(again.code, 8);
  EXPECT_THAT(again.err, HasSubstr("job " + job));
  ASSERT_TRUE(wait_for_tasks("done", 4));
  const auto gpus = lines("gpus");
  EXPECT_EQ(std::set<std::string>(gpus.begin(), gpus.end()).size(), 4u) << text_of(root_ / "gpus");
  EXPECT_TRUE(wait_for_state(job, "COMPLETED"));
  EXPECT_THAT(muster({"submit", "e.toml"}).out, HasSubstr("nothing is left to do"));
  EXPECT_EQ(muster({"watch"}).code, 0);
}

TEST_F(Submit, AnArrayRunsEachTaskOnceAndTheNextOneWhatIsLeft) {
  experiment("echo $1 >> began; [ $1 != 2 ] || [ -e fixed ]", 4, "[slurm]\narray_throttle = 3\n");
  write_text(root_ / "e.toml", text_of(root_ / "e.toml"));
  const std::string job = json({"submit", "e.toml", "--array"})["submissions"][0]["job"];
  ASSERT_TRUE(wait_for_tasks("done", 3));
  ASSERT_TRUE(wait_until([&] { return queue().empty(); }, 30)) << queue();
  EXPECT_THAT(muster({"explain", "task-2"}).out, HasSubstr("failed"));
  write_text(root_ / "fixed", "");
  const Json second = json({"submit", "e.toml", "--array"});
  EXPECT_EQ(second["submissions"][0]["array"], "2");
  EXPECT_EQ(second["done"], 3);
  EXPECT_TRUE(wait_for_tasks("done", 4));
  const auto began = lines("began");
  for (const char* once : {"0", "1", "3"}) EXPECT_EQ(std::count(began.begin(), began.end(), once), 1) << once;
}

TEST_F(Submit, ADryRunAsksForNothingAndLeavesNothing) {
  experiment("true", 4);
  const Said said = muster({"submit", "e.toml", "--dry-run"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("sbatch --parsable --job-name=e "));
  EXPECT_THAT(said.out, HasSubstr("exec "));
  EXPECT_THAT(said.out, HasSubstr("srun --exact "));
  EXPECT_FALSE(fs::exists(root_ / "runs"));
  EXPECT_THAT(queue(), IsEmpty());
}

TEST_F(Submit, WhatCannotBeIsSaidAndNothingIsQueuedOrMade) {
  const std::tuple<const char*, int, const char*> cases[] = {
      {"[slurm]\npartition = \"debgu\"", 3,
       "e.toml:11:1: there is no partition 'debgu'; did you mean 'debug'?"},
      {"[slurm]\ngpu_type = \"h100\"", 5, "e.toml:11:1: task-0"},
      {"[slurm]\nnodes = 3", 5, "e.toml:11:1: 3 nodes cannot be had"},
      {"[slurm]\nprologue = \"none.sh\"", 3, "there is no prologue"},
      {"[slurm.sbatch]\nbegin = \"$(touch hacked)\"", 5, "Slurm refused the job"},
  };
  for (const auto& [more, code, words] : cases) {
    experiment("true", 2, more);
    const Said said = muster({"submit", "e.toml"});
    EXPECT_EQ(said.code, code) << more << said.out;
    EXPECT_THAT(said.err, HasSubstr(words));
    EXPECT_THAT(queue(), IsEmpty());
  }
  EXPECT_FALSE(fs::exists(root_ / "hacked"));
}

TEST_F(Submit, ValuesReachSbatchAsTheyStand) {
  experiment("true", 1, "[slurm.sbatch]\nadmin-comment = \"a\"\n");
  write_text(root_ / "e.toml",
             "name = \"e\"\nworkload = \"exec\"\ncommand = [\"true\"]\n[slurm]\nmail_user = "
             "'$(touch hacked) `touch hacked`; \"x\" \\'\nmail_type = \"NONE\"\n");
  const auto wrapped = in_place_of(
      "sbatch", "printf '%s\\n' \"$@\" > " + (root_ / "arguments").string() + "\nexec $REAL \"$@\"");
  EXPECT_EQ(muster({"submit", "e.toml"}, wrapped).code, 0);
  EXPECT_THAT(text_of(root_ / "arguments"),
              HasSubstr("--mail-user=$(touch hacked) `touch hacked`; \"x\" \\\n"));
  EXPECT_TRUE(wait_for_tasks("done", 1));
  EXPECT_FALSE(fs::exists(root_ / "hacked"));
}

TEST_F(Submit, AJobWhoseAnswerGotLostIsAdoptedAndNotAskedForTwice) {
  experiment("sleep 2", 1);
  const auto lost = in_place_of("sbatch",
                                "$REAL \"$@\" > /dev/null\necho 'sbatch: error: Batch job submission failed: "
                                "Socket timed out on send/recv operation' >&2\nexit 1");
  const Said said = muster({"submit", "e.toml", "--parsable"}, lost);
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_EQ(said_by({"squeue", "--noheader", "--states=all", "--format=%i",
                     "--jobs=" + said.out.substr(0, said.out.find('\n'))}) +
                "\n",
            said.out);
  EXPECT_TRUE(wait_for_tasks("done", 1));
}

TEST_F(Submit, AfterASubmitThatWasKilledItsJobIsFound) {
  experiment("sleep 5", 1);
  const auto kills = in_place_of("sbatch", "$REAL \"$@\" > /dev/null\nkill -KILL $PPID");
  EXPECT_EQ(muster({"submit", "e.toml"}, kills).code, 128 + SIGKILL);
  const Said again = muster({"submit", "e.toml"});
  EXPECT_EQ(again.code, 8) << again.out;
  EXPECT_EQ(said_by({"bash", "-c", "squeue -h | wc -l"}), "1");
  EXPECT_TRUE(wait_for_tasks("done", 1));
}

TEST_F(Submit, AThousandTasksAreAskedForByOneCallAndWithoutAFileEach) {
  write_text(
      root_ / "e.toml",
      "name = \"e\"\nworkload = \"exec\"\ncommand = [\"true\"]\n[slurm.sbatch]\nhold = true\n[matrix.grid]\n"
      "a = [0,1,2,3,4,5,6,7,8,9]\nb = [0,1,2,3,4,5,6,7,8,9]\nc = [0,1,2,3,4,5,6,7,8,9]\n");
  const auto counted = in_place_of("sbatch", "echo >> " + (root_ / "calls").string() + "\nexec $REAL \"$@\"");
  EXPECT_EQ(muster({"submit", "e.toml", "--array"}, counted).code, 0);
  EXPECT_EQ(lines("calls").size(), 1u);
  EXPECT_FALSE(fs::exists(root_ / "runs/e/tasks"));
  EXPECT_THAT(queue(), HasSubstr("_[0-999]"));
  EXPECT_THAT(muster({"explain"}).out, HasSubstr("and 995 more: waits: array"));
  const Said said = muster({"cancel", "e"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(queue(), IsEmpty());
}

TEST_F(Submit, CancelLetsTasksSaveAndLeavesNothingRunning) {
  // The signal reaches each process of the step by itself: sleep may end before the shell hears of it.
  experiment("trap 'echo saved $1 >> saved; exit 75' USR1; echo $1 >> began; while :; do sleep 0.1; done", 3);
  ASSERT_EQ(muster({"submit", "e.toml"}).code, 0);
  ASSERT_TRUE(wait_until([&] { return lines("began").size() == 3; }, 30));
  const Said said = muster({"cancel"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("asked to save and stop"));
  EXPECT_EQ(lines("saved").size(), 3u) << said.out << muster({"logs"}).out << muster({"status"}).out;
  EXPECT_THAT(queue(), IsEmpty());
  EXPECT_TRUE(wait_for_tasks("stopped", 3, 5));
  EXPECT_EQ(muster({"watch"}).code, 75);
}

TEST_F(Submit, OneTaskOfAJobIsCancelledAndTheOthersGoOn) {
  experiment(
      "trap 'echo saved $1 >> saved; exit 75' USR1; echo $1 >> began; until [ -e go ]; do sleep 0.1; done",
      3);
  ASSERT_EQ(muster({"submit", "e.toml"}).code, 0);
  ASSERT_TRUE(wait_until([&] { return lines("began").size() == 3; }, 30));
  const Said said = muster({"cancel", "--task", "1"});
  EXPECT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.out, HasSubstr("task-1-n1 runs no more"));
  EXPECT_EQ(text_of(root_ / "saved"), "saved 1\n");
  EXPECT_TRUE(wait_for_tasks("running", 2, 5));
  write_text(root_ / "go", "");
  EXPECT_TRUE(wait_for_tasks("done", 2));
  EXPECT_TRUE(wait_until([&] { return queue().empty(); }, 20))
      << "the job does not go on with it: " << queue();
  EXPECT_EQ(json({"submit", "e.toml"})["done"], 2);
  EXPECT_TRUE(wait_for_tasks("done", 3));
}

TEST_F(Submit, ATaskAfterAJobThatFailedIsNamedAndNotWaitedForForEver) {
  experiment("true", 1);
  const std::string first = said_by({"sbatch", "--parsable", "--output=/dev/null", "--wrap=sleep 3; exit 1"});
  const std::string job = json({"submit", "e.toml", "--after", first})["submissions"][0]["job"];
  EXPECT_THAT(muster({"explain", "0"}).out, HasSubstr("waits for a job that it depends on"));
  EXPECT_TRUE(wait_until([&] { return queue().empty(); }, 40)) << queue();
  EXPECT_THAT(muster({"explain", "0"}).out, HasSubstr("job that it depends on did not end well"));
  EXPECT_EQ(muster({"submit", "e.toml", "--after", first}).code, 2);
  EXPECT_EQ(muster({"watch"}).code, 75);
}

TEST_F(Submit, AWaitingTaskSaysForWhatAndBehindHowMany) {
  for (const char* node : {"n1", "n2"})
    said_by({"sbatch", "--exclusive", "--output=/dev/null", std::string("--nodelist=") + node,
             "--wrap=sleep 60"});
  said_by({"sbatch", "--exclusive", "--nodes=2", "--output=/dev/null", "--wrap=true"});
  experiment("true", 2);
  ASSERT_EQ(muster({"submit", "e.toml"}).code, 0);
  EXPECT_TRUE(wait_until(
      [&] {
        return muster({"explain", "1"}).out.find("waits for 1 node with 2 CPUs and 2 GPUs; 1 job ahead") !=
               std::string::npos;
      },
      15))
      << muster({"explain", "1"}).out << queue();
  EXPECT_EQ(json({"status"})["tasks"][0]["job"]["state"], "PENDING");
}

TEST_F(Submit, WhatAScriptSaysBeforeMusterStartsIsFound) {
  experiment("true", 1, "[slurm]\nprologue = \"setup.sh\"\n");
  write_text(root_ / "setup.sh", "echo no such module; exit 3\n");
  const std::string job = json({"submit", "e.toml"})["submissions"][0]["job"];
  ASSERT_TRUE(wait_for_state(job, "FAILED"));
  EXPECT_THAT(muster({"logs"}).out, HasSubstr("no such module"));
  EXPECT_THAT(muster({"explain", "0"}).out, HasSubstr("slurm-" + job + ".out"));
}

TEST_F(Submit, WatchAsksSlurmOnceHoweverLongItLooks) {
  experiment("sleep 4", 1);
  ASSERT_EQ(muster({"submit", "e.toml"}).code, 0);
  const auto counted = in_place_of("squeue", "echo >> " + (root_ / "calls").string() + "\nexec $REAL \"$@\"");
  const Said said = muster({"watch"}, counted);
  EXPECT_EQ(said.code, 0) << said.out << said.err;
  EXPECT_THAT(said.out, HasSubstr("1 done"));
  EXPECT_EQ(lines("calls").size(), 1u);
}

TEST_F(Submit, AnArrayBeginsAfterTheTasksThatItsOwnNeed) {
  stages("sleep 0.5");
  const Said dry = muster({"submit", "e.toml", "--array", "--dry-run"});
  EXPECT_THAT(dry.out, HasSubstr("--dependency=afterok:JOB1_1 "));
  EXPECT_THAT(dry.out, HasSubstr("--dependency=afterok:JOB2:JOB3 "));
  const Json submitted = json({"submit", "e.toml", "--array"});
  EXPECT_EQ(submitted["submissions"].size(), 4u);
  EXPECT_THAT(muster({"explain", "task-4"}).out, HasSubstr("waits for task-2, task-3: array "));
  ASSERT_TRUE(wait_for_tasks("done", 5)) << muster({"status"}).out;
  const auto ended = lines("ended");
  EXPECT_EQ(ended.size(), 5u);
  EXPECT_EQ(ended.back(), "all");
  EXPECT_EQ(lines("began").size(), 5u) << "nothing began too early and had to try again";
  EXPECT_EQ(muster({"watch"}).code, 0);
}

TEST_F(Submit, WhereATaskFailsWhatNeedsItIsTakenOutOfTheQueueAndNamed) {
  stages("[ $1$2 != make1 ] || [ -e fixed ] || exit 3");
  ASSERT_EQ(muster({"submit", "e.toml", "--array"}).code, 0);
  ASSERT_TRUE(wait_until([&] { return queue().empty(); }, 60)) << queue();
  const Json tasks = json({"status"})["tasks"];
  const std::vector<std::string> expected = {"done", "failed", "done", "blocked", "blocked"};
  for (std::size_t i = 0; i < 5; ++i) EXPECT_EQ(tasks[i]["state"], expected[i]) << i;
  EXPECT_THAT(muster({"explain", "task-3"}).out,
              AllOf(HasSubstr("is blocked: it needs task-1-make-n1, which failed"),
                    HasSubstr("a job that it depends on did not end well")));
  EXPECT_EQ(muster({"watch"}).code, 1);
  write_text(root_ / "fixed", "");
  const Json again = json({"submit", "e.toml", "--array"});
  EXPECT_EQ(again["done"], 2);
  EXPECT_TRUE(wait_for_tasks("done", 5)) << muster({"status"}).out;
  const auto began = lines("began");
  for (const char* once : {"make0", "use0"})
    EXPECT_EQ(std::count(began.begin(), began.end(), once), 1) << once;
}

TEST_F(Submit, OneJobRunsAllStages) {
  stages("true");
  const Json submitted = json({"submit", "e.toml"});
  EXPECT_EQ(submitted["submissions"].size(), 1u);
  ASSERT_TRUE(wait_for_tasks("done", 5)) << muster({"status"}).out;
  EXPECT_EQ(lines("began").size(), 5u);
}

}  // namespace
}  // namespace muster::testing
