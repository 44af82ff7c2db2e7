#include "launcher/gang_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace muster {
namespace {

using ::testing::AnyOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

Task exec_task(std::vector<std::string> command, int ranks = 1) {
  Task task;
  task.id = "0123abcd";
  task.label = "a";
  task.workload = "exec";
  task.command = std::move(command);
  task.parameters = {{"lr", Value(0.1)}, {"seed", Value(7)}, {"exchange.algorithm", Value("ring")}};
  task.resources.ranks = ranks;
  return task;
}

Task plugin_task(int ranks) {
  Task task;
  task.id = "89ef";
  task.label = "b";
  task.workload = "ddp";
  task.plugin = "/lib/ddp.so";
  task.resources.ranks = ranks;
  return task;
}

const TaskPaths kPaths("/runs/e/tasks/a-0123abcd");
const GangPrograms kPrograms{"/bin/muster-runner", true};

TEST(GangPlan, RunnerGoesUnderMpirun) {
  EXPECT_THAT(gang_command(plugin_task(2), kPaths, 3, kPrograms),
              ElementsAre("mpirun", "--bind-to", "none", "--use-hwthread-cpus", "--mca",
                          "odls_base_sigkill_timeout", "0", "-n", "2", "/bin/muster-runner", "--task",
                          "/runs/e/tasks/a-0123abcd", "--attempt", "3"));
}

TEST(GangPlan, OversubscribedRanksYieldWhenIdle) {
  Task task = plugin_task(4);
  task.resources.oversubscribe = true;
  const auto argv = gang_command(task, kPaths, 1, kPrograms);
  EXPECT_THAT(argv, Contains("--oversubscribe"));
  EXPECT_THAT(argv, Contains("mpi_yield_when_idle"));
}

TEST(GangPlan, OneRankRunsBare) {
  EXPECT_EQ(gang_command(plugin_task(1), kPaths, 1, kPrograms).front(), "/bin/muster-runner");
  EXPECT_THAT(gang_command(exec_task({"python", "train.py", "--lr={lr}", "{seed}", "{{seed}}"}), kPaths, 1,
                           kPrograms),
              ElementsAre("python", "train.py", "--lr=0.1", "7", "{seed}"));
}

TEST(GangPlan, CommandOfMoreRanksGoesUnderMpirun) {
  const auto argv = gang_command(exec_task({"hello"}, 2), kPaths, 1, kPrograms);
  EXPECT_EQ(argv.front(), "mpirun");
  EXPECT_EQ(argv.back(), "hello");
  EXPECT_THAT(argv, Not(Contains("odls_base_sigkill_timeout"))) << "a command may want its time to clean up";
}

TEST(GangPlan, EnvironmentTellsCpusAndGpus) {
  const Assignment assignment{{{"", {0, 1}, {"2"}}, {"", {2, 3, 8}, {"3"}}}};
  Task task = plugin_task(2);
  task.resources.cpus_per_rank = 2;
  const auto environment = gang_environment(task, kPaths, 2, assignment, kPrograms);
  EXPECT_THAT(environment, Contains(Pair("MUSTER_CPUS", "0-1;2-3,8")));
  EXPECT_THAT(environment, Contains(Pair("CUDA_VISIBLE_DEVICES", "2,3")));
  EXPECT_THAT(environment, Contains(Pair("OMP_NUM_THREADS", "2")));
  EXPECT_THAT(environment, Contains(Pair("MUSTER_ATTEMPT", "/runs/e/tasks/a-0123abcd/attempt-2")));
}

TEST(GangPlan, RanksThatShareAGpuAreToldWhoseTheyAre) {
  const Assignment assignment{{{"", {0}, {"2"}}, {"", {1}, {"2"}}, {"", {2}, {"3"}}}};
  Task task = plugin_task(3);
  task.resources.gpus_per_rank = 1;
  task.resources.ranks_per_gpu = 3;
  task.resources.gpu_sharing = GpuSharing::time_slicing;
  auto environment = gang_environment(task, kPaths, 2, assignment, kPrograms);
  EXPECT_THAT(environment, Contains(Pair("MUSTER_GPUS", "2;2;3")));
  EXPECT_THAT(environment, Contains(Pair("CUDA_VISIBLE_DEVICES", "2,3")));
  EXPECT_THAT(environment, Not(Contains(Key("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE"))));
  task.resources.gpu_sharing = GpuSharing::mps;
  environment = gang_environment(task, kPaths, 2, assignment, kPrograms);
  EXPECT_THAT(environment, Contains(Pair("CUDA_MPS_ACTIVE_THREAD_PERCENTAGE", "33")));
  EXPECT_THAT(gang_environment(plugin_task(2), kPaths, 2, assignment, kPrograms),
              Not(Contains(Key("MUSTER_GPUS"))));
}

TEST(GangPlan, TaskWithoutGpusSeesNone) {
  EXPECT_THAT(gang_environment(plugin_task(1), kPaths, 1, {{{"", {0}, {}}}}, kPrograms),
              Contains(Pair("CUDA_VISIBLE_DEVICES", "")));
}

TEST(GangPlan, RanksOfOneHostLookForNoInterconnect) {
  EXPECT_THAT(gang_environment(plugin_task(2), kPaths, 1, {{{"", {0}, {}}, {"", {1}, {}}}}, kPrograms),
              Contains(Pair("OMPI_MCA_pml", "ob1")));
  EXPECT_THAT(gang_environment(exec_task({"c"}, 2), kPaths, 1, {{{"", {0}, {}}, {"", {1}, {}}}}, kPrograms),
              Not(Contains(Key("OMPI_MCA_pml"))));
}

TEST(GangPlan, RanksOfSeveralHostsDo) {
  EXPECT_THAT(gang_environment(plugin_task(2), kPaths, 1, {{{"a", {0}, {}}, {"b", {0}, {}}}}, kPrograms),
              Not(Contains(Key("OMPI_MCA_pml"))));
}

TEST(GangPlan, RanksOfSeveralHostsSendBothWaysAtOnce) {
  const Assignment assignment{{{"a", {0}, {}}, {"b", {0}, {}}}};
  EXPECT_THAT(gang_environment(plugin_task(2), kPaths, 1, assignment, kPrograms),
              Contains(Pair("OMPI_MCA_btl_tcp_links", "2")));
  EXPECT_THAT(gang_environment(exec_task({"c"}, 2), kPaths, 1, assignment, kPrograms),
              Not(Contains(Key("OMPI_MCA_btl_tcp_links"))));
  setenv("OMPI_MCA_btl_tcp_links", "3", 1);
  EXPECT_THAT(gang_environment(plugin_task(2), kPaths, 1, assignment, kPrograms),
              Not(Contains(Key("OMPI_MCA_btl_tcp_links"))))
      << "the user's own counts";
  unsetenv("OMPI_MCA_btl_tcp_links");
}

/// Those of a bundle, on a machine with an mpirun of its own or without.
GangPrograms bundled(const std::string& machine_mpirun) {
  GangPrograms programs{"/b/bin/muster-runner", false};
  programs.mpirun = "/b/mpirun";
  programs.machine_mpirun = machine_mpirun;
  programs.mpi_environment = {{"OPAL_PREFIX", "/b/mpi"}};
  programs.library_path = "/torch/lib";
  return programs;
}

TEST(GangPlan, BundlesRunnerIsStartedByItsOwnMpi) {
  const Assignment assignment{{{"", {0}, {}}}};
  EXPECT_EQ(gang_command(plugin_task(2), kPaths, 1, bundled("mpirun")).front(), "/b/mpirun");
  for (const int ranks : {1, 2}) {
    const auto environment = gang_environment(plugin_task(ranks), kPaths, 1, assignment, bundled("mpirun"));
    EXPECT_THAT(environment, Contains(Pair("OPAL_PREFIX", "/b/mpi")));
    EXPECT_THAT(environment, Contains(Pair("LD_LIBRARY_PATH", "/torch/lib")));
  }
}

TEST(GangPlan, BundleStartsCommandsByTheMachinesMpiWhereThereIsOne) {
  const Assignment assignment{{{"", {0}, {}}}};
  EXPECT_EQ(gang_command(exec_task({"c"}, 2), kPaths, 1, bundled("mpirun")).front(), "mpirun");
  EXPECT_THAT(gang_environment(exec_task({"c"}, 2), kPaths, 1, assignment, bundled("mpirun")),
              Not(Contains(Key("OPAL_PREFIX"))))
      << "it would look for its components in the bundle";
  EXPECT_EQ(gang_command(exec_task({"c"}, 2), kPaths, 1, bundled("/b/mpirun")).front(), "/b/mpirun");
  EXPECT_THAT(gang_environment(exec_task({"c"}, 2), kPaths, 1, assignment, bundled("/b/mpirun")),
              Contains(Key("OPAL_PREFIX")));
}

TEST(GangPlan, BundleLeavesTheLibrariesOfCommandsAlone) {
  EXPECT_THAT(gang_environment(exec_task({"c"}), kPaths, 1, {{{"", {0}, {}}}}, bundled("/b/mpirun")),
              Not(AnyOf(Contains(Key("OPAL_PREFIX")), Contains(Key("LD_LIBRARY_PATH")))));
}

TEST(GangPlan, OnlyRootMayBeRoot) {
  EXPECT_THAT(gang_environment(plugin_task(2), kPaths, 1, {{{"", {0}, {}}}}, kPrograms),
              Contains(Key("OMPI_ALLOW_RUN_AS_ROOT")));
  EXPECT_THAT(gang_environment(plugin_task(2), kPaths, 1, {{{"", {0}, {}}}}, {"/bin/muster-runner", false}),
              Not(Contains(Key("OMPI_ALLOW_RUN_AS_ROOT"))));
}

TEST(GangPlan, CommandHasItsParametersInTheEnvironment) {
  const auto environment = gang_environment(exec_task({"c"}), kPaths, 1, {{{"", {0}, {}}}}, kPrograms);
  EXPECT_THAT(environment, Contains(Pair("MUSTER_PARAM_LR", "0.1")));
  EXPECT_THAT(environment, Contains(Pair("MUSTER_PARAM_EXCHANGE_ALGORITHM", "ring")));
  EXPECT_THAT(environment, Contains(Pair("MUSTER_SEED", "7")));
  EXPECT_THAT(environment, Contains(Pair("MUSTER_TASK_ID", "0123abcd")));
  EXPECT_THAT(environment, Contains(Pair("MUSTER_TASK_FOLDER", "/runs/e/tasks/a-0123abcd")));
}

}  // namespace
}  // namespace muster
