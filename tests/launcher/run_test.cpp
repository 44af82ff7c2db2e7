/// `muster run` on commands: plans, retries, stops, goes on.

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/stat.h>

#include <set>

#include "launcher/process_table.hpp"
#include "tests/launcher/muster_fixture.hpp"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing::MusterTest;
using ::testing::Not;
using testing::text_of;
using testing::wait_until;

class Run : public MusterTest {};

TEST_F(Run, DoesEveryTaskAndEndsWithATable) {
  experiment("echo hello from $N", 3);
  EXPECT_EQ(run(), 0);
  EXPECT_THAT(output(), AllOf(HasSubstr("[task-0-n0] hello from 0"), HasSubstr("[task-2-n2] hello from 2"),
                              HasSubstr("3 of 3 tasks done")));
  EXPECT_THAT(output(), ::testing::ContainsRegex("task-1-n1 +done +1 "));
  ASSERT_EQ(run_folders().size(), 1u);
  const auto folder = run_folders().front();
  for (const char* name : {"experiment.toml", "plan.json", "environment.json", "run.log", "sweep.h5",
                           "summary.csv", "journal/launcher-1.jsonl"}) {
    EXPECT_TRUE(std::filesystem::exists(folder / name)) << name;
  }
  EXPECT_THAT(text_of(folder / "run.log"), HasSubstr("[task-1-n1] hello from 1"));
  EXPECT_EQ(text_of(task_folder("n1") / "log.txt"), "hello from 1\n");
  EXPECT_EQ(nlohmann::json::parse(text_of(task_folder("n1") / "done.json")).at("attempt"), 1);
}

TEST_F(Run, SecondCallDoesNothing) {
  experiment(counting_script(0), 3);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(run(), 0);
  EXPECT_THAT(output(), HasSubstr("done already and skipped: task-0-n0, task-1-n1, task-2-n2"));
  EXPECT_EQ(run_folders().size(), 1u);
  EXPECT_EQ(stamps().size(), 6u);
}

TEST_F(Run, GrownMatrixRunsNewCellsOnlyAndKeepsNumbers) {
  experiment(counting_script(0), 2);
  EXPECT_EQ(run(), 0);
  const std::string text = text_of(root_ / "experiment.toml");
  testing::write_text(root_ / "experiment.toml", text.substr(0, text.find("n = [")) + "n = [7, 0, 1]\n");
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(run_folders().size(), 2u);
  EXPECT_EQ(stamps().size(), 6u);
  EXPECT_THAT(output(), AllOf(HasSubstr("task-0-n0"), HasSubstr("task-1-n1"), HasSubstr("task-2-n7")));
}

TEST_F(Run, PlanOfAnOlderMatrixGoesByItsOwnRun) {
  experiment("true", 1);
  const std::string older = text_of(root_ / "experiment.toml");
  ASSERT_EQ(run(), 0);
  testing::write_text(root_ / "experiment.toml", older.substr(0, older.find("n = [")) + "n = [7]\n");
  ASSERT_EQ(run(), 0);
  ASSERT_EQ(run_folders().size(), 2u);
  testing::write_text(root_ / "experiment.toml", older);
  ASSERT_EQ(run({"plan", "experiment.toml", "--json"}), 0);
  const auto planned = nlohmann::json::parse(output());
  const auto of_run = nlohmann::json::parse(text_of(run_folders().front() / "plan.json"));
  EXPECT_EQ(planned.at("retired"), of_run.at("retired"));
  EXPECT_EQ(planned.at("tasks").at(0).at("number"), of_run.at("tasks").at(0).at("number"));
}

TEST_F(Run, FailingCommandIsTriedAgainAndThenNamed) {
  experiment("echo try >> tries; [ $N = 1 ] && exit 3; true", 2, "[policy]\nmax_attempts = 3");
  EXPECT_EQ(run(), 1);
  EXPECT_EQ(text_of(root_ / "tries"), "try\ntry\ntry\ntry\n");
  EXPECT_THAT(errors(), AllOf(HasSubstr("task-1-n1 failed: its command returned 3"),
                              HasSubstr((task_folder("n1") / "attempt-3/log.txt").string())));
  EXPECT_THAT(output(), HasSubstr("1 of 2 tasks done"));
}

TEST_F(Run, CrashIsTriedAgainUntilItWorks) {
  experiment("[ -e crashed ] && exit 0; touch crashed; kill -SEGV $$", 1);
  EXPECT_EQ(run(), 0);
  EXPECT_THAT(output(), HasSubstr("ended by signal 11"));
}

TEST_F(Run, MissingCommandIsOneErrorAndMakesNothing) {
  experiment("true", 1);
  testing::write_text(root_ / "experiment.toml",
                      "name = \"e\"\nworkload = \"exec\"\ncommand = [\"no-such-command\"]\n");
  EXPECT_EQ(run(), 3);
  EXPECT_THAT(errors(), HasSubstr("the command 'no-such-command' of task"));
  EXPECT_FALSE(std::filesystem::exists(root_ / "runs"));
}

TEST_F(Run, MissingMpirunIsOneErrorAndMakesNothing) {
  experiment("true", 1, "[resources]\nranks = 2");
  const auto process = start({"run", "experiment.toml"}, {{"PATH", "/nowhere"}});
  EXPECT_EQ(process->wait(), 3);
  EXPECT_THAT(errors(), AllOf(HasSubstr("mpirun is not there"), HasSubstr("module")));
  EXPECT_FALSE(std::filesystem::exists(root_ / "runs"));
}

TEST_F(Run, MoreGpusThanThereAreIsOneErrorAndMakesNothing) {
  experiment("true", 1, "[resources]\ngpus_per_rank = 3");
  EXPECT_EQ(run({"run", "experiment.toml", "--gpus", "2"}), 5);
  EXPECT_THAT(errors(), HasSubstr("3 GPUs"));
  EXPECT_FALSE(std::filesystem::exists(root_ / "runs"));
}

TEST_F(Run, ASharedGpuIsCalledSo) {
  experiment("echo has $CUDA_VISIBLE_DEVICES, ranks $MUSTER_GPUS", 1,
             "resources.gpus_per_rank = 0.5\nresources.gpu_sharing = \"time-slicing\"");
  EXPECT_EQ(run({"run", "experiment.toml", "--gpus", "1"}), 0) << errors();
  EXPECT_THAT(output(), AllOf(HasSubstr("has 0, ranks 0"), HasSubstr("GPUs 0 (shared)")));
}

TEST_F(Run, SlicesOfAGpuAreSlotsOfTheirOwn) {
  experiment("echo has $CUDA_VISIBLE_DEVICES", 1, "resources.gpus_per_rank = 3");
  EXPECT_EQ(start({"run", "experiment.toml"}, {{"LD_LIBRARY_PATH", MUSTER_FAKE_NVML_FOLDER},
                                               {"FAKE_NVML_GPUS", "2"},
                                               {"FAKE_NVML_SLICES", "2"}})
                ->wait(),
            0)
      << errors();
  EXPECT_THAT(output(), HasSubstr("has GPU-fake-0,MIG-fake-0,MIG-fake-1"));
}

TEST_F(Run, MpsWithoutItsDaemonIsOneErrorAndMakesNothing) {
  experiment("true", 1, "resources.gpus_per_rank = 0.5\nresources.gpu_sharing = \"mps\"");
  const std::vector<std::string> argv{"run", "experiment.toml", "--gpus", "1"};
  const std::string folder = (root_ / "mps").string();
  EXPECT_EQ(start(argv, {{"CUDA_MPS_PIPE_DIRECTORY", folder}})->wait(), 5);
  EXPECT_THAT(errors(), AllOf(HasSubstr("no control pipe '" + folder + "/control'"),
                              HasSubstr("nvidia-cuda-mps-control -d")));
  EXPECT_FALSE(std::filesystem::exists(root_ / "runs"));
  std::filesystem::create_directory(folder);
  ASSERT_EQ(mkfifo((folder + "/control").c_str(), 0600), 0);
  EXPECT_EQ(start(argv, {{"CUDA_MPS_PIPE_DIRECTORY", folder}})->wait(), 0) << errors();
}

TEST_F(Run, LinesOfZippedTasksBearTheirValuesAndEachHasAGpu) {
  testing::write_text(root_ / "experiment.toml",
                      R"(name = "e"
workload = "exec"
command = ["bash", "-c", "echo {network} has GPU $CUDA_VISIBLE_DEVICES"]
resources.gpus_per_rank = 1
[matrix.zip]
network = ["densenet", "resnet", "improved_wide_resnet", "resnext"]
fusion = ["multiplicative", "multiplicativeAddition", "TransformerBase", "concatenation"]
)");
  EXPECT_EQ(run({"run", "experiment.toml", "--gpus", "4"}), 0);
  for (const char* line :
       {R"(\[task-0-densenet-multiplicative\] densenet has GPU [0-3])",
        R"(\[task-1-resnet-multiplicativeAddition\] resnet has GPU [0-3])",
        R"(\[task-2-improved_wide_resnet-TransformerBase\] improved_wide_resnet has GPU [0-3])",
        R"(\[task-3-resnext-concatenation\] resnext has GPU [0-3])"})
    EXPECT_THAT(output(), ::testing::ContainsRegex(line));
}

TEST_F(Run, MoreRanksThanCoresIsOneErrorAndMakesNothing) {
  experiment("true", 1, "[resources]\nranks = 2");
  EXPECT_EQ(run({"run", "experiment.toml", "--cpus", "1"}), 5);
  EXPECT_THAT(errors(), HasSubstr("oversubscribe"));
  EXPECT_FALSE(std::filesystem::exists(root_ / "runs"));
}

TEST_F(Run, RanksOfACommandRunUnderMpirun) {
  experiment("echo rank $OMPI_COMM_WORLD_RANK of $OMPI_COMM_WORLD_SIZE", 1,
             "[resources]\nranks = 3\noversubscribe = true");
  EXPECT_EQ(run(), 0) << output() << errors();
  for (const char* rank : {"rank 0 of 3", "rank 1 of 3", "rank 2 of 3"})
    EXPECT_THAT(output(), HasSubstr(rank));
}

TEST_F(Run, CtrlCSavesAndStopsAndTheSameCommandGoesOn) {
  experiment(
      "trap 'echo saved $N; touch saved-$N; exit 75' USR1\necho ready $N\n[ -e saved-$N ] && exit 0\nwhile "
      ":; do sleep 0.02; done",
      2);
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] {
    return output().find("ready 0") != std::string::npos && output().find("ready 1") != std::string::npos;
  }));
  launcher->signal(SIGINT);
  EXPECT_EQ(launcher->wait(), 75);
  EXPECT_THAT(output(),
              AllOf(HasSubstr("saved 0"), HasSubstr("saved 1"), HasSubstr("the same command goes on")));
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(run_folders().size(), 1u);
  EXPECT_TRUE(std::filesystem::exists(task_folder("n1") / "attempt-2"));
}

TEST_F(Run, SigtermIsOneCtrlC) {
  experiment("trap 'exit 75' USR1; echo ready; while :; do sleep 0.02; done", 1);
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return output().find("ready") != std::string::npos; }));
  launcher->signal(SIGTERM);
  EXPECT_EQ(launcher->wait(), 75);
}

TEST_F(Run, SecondCtrlCKills) {
  experiment("trap '' USR1 TERM; echo ready; while :; do sleep 0.02; done", 1);
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return output().find("ready") != std::string::npos; }));
  launcher->signal(SIGINT);
  ASSERT_TRUE(wait_until([&] { return output().find("Ctrl-C again") != std::string::npos; }));
  launcher->signal(SIGINT);
  EXPECT_EQ(launcher->wait(), 130);
  EXPECT_TRUE(
      processes_with_environment("MUSTER_ATTEMPT=" + (task_folder("n0") / "attempt-1").string()).empty());
  EXPECT_EQ(status().at("tasks").at(0).at("state"), "stopped");
}

TEST_F(Run, GangThatDoesNotStopInTimeIsEnded) {
  experiment("trap '' USR1; echo ready; while :; do sleep 0.02; done", 1,
             "[policy]\nkill_after_seconds = 0.5");
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return output().find("ready") != std::string::npos; }));
  launcher->signal(SIGINT);
  EXPECT_EQ(launcher->wait(), 75);
  EXPECT_THAT(output(), HasSubstr("did not stop in time"));
}

TEST_F(Run, JsonIsAllThatIsOnStdout) {
  experiment("echo noise", 1);
  EXPECT_EQ(run({"run", "experiment.toml", "--json"}), 0);
  const auto json = nlohmann::json::parse(output());
  EXPECT_EQ(json.at("tasks").at(0).at("state"), "done");
  EXPECT_THAT(errors(), HasSubstr("noise"));
}

TEST_F(Run, QuietPrintsTheTableAlone) {
  experiment("echo noise", 1);
  EXPECT_EQ(run({"run", "experiment.toml", "--quiet"}), 0);
  EXPECT_THAT(output(), AllOf(Not(HasSubstr("noise")), ::testing::StartsWith("task ")));
}

TEST_F(Run, TerminalKeepsTheWholeTable) {
  experiment("sleep 1", 2);
  testing::Process terminal(
      {"script", "-qec", MUSTER_PROGRAM " run experiment.toml", "typescript"},
      {{{"MUSTER_RUNS", (root_ / "runs").string()}, {"TERM", "xterm"}}, root_.path(), root_ / "screen", {}});
  EXPECT_EQ(terminal.wait(), 0);
  const std::string screen = text_of(root_ / "screen");
  EXPECT_THAT(screen, HasSubstr("2 running"));
  const std::string after_table = screen.substr(screen.rfind("task-0-n0  done"));
  EXPECT_THAT(after_table, Not(HasSubstr("\x1b["))) << "the redrawn lines took the table's with them";
}

TEST_F(Run, LogsAndStatusTellOfARunningTask) {
  experiment("echo first; while [ ! -e go ]; do sleep 0.02; done; echo last", 1);
  const auto launcher = start_run();
  ASSERT_TRUE(wait_until([&] { return output().find("first") != std::string::npos; }));
  EXPECT_EQ(status().at("tasks").at(0).at("state"), "running");
  EXPECT_EQ(status().at("launcher").at("pid"), launcher->pid());
  testing::Process logs({MUSTER_PROGRAM, "logs", "task-0", "--follow"},
                        {{{"MUSTER_RUNS", (root_ / "runs").string()}}, root_.path(), root_ / "followed", {}});
  ASSERT_TRUE(wait_until([&] { return text_of(root_ / "followed") == "first\n"; }));
  testing::write_text(root_ / "go", "");
  EXPECT_EQ(launcher->wait(), 0);
  EXPECT_EQ(logs.wait(), 0);
  EXPECT_EQ(text_of(root_ / "followed"), "first\nlast\n");
  EXPECT_EQ(status().at("tasks").at(0).at("state"), "done");
}

}  // namespace
}  // namespace muster
