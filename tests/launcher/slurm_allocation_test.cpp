#include "launcher/slurm_allocation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Key;
using ::testing::Not;
using ::testing::Pair;

Task task_of(int ranks, int gpus_per_rank) {
  Task task;
  task.id = "89ef";
  task.label = "b";
  task.workload = "ddp";
  task.plugin = "/lib/ddp.so";
  task.resources.ranks = ranks;
  task.resources.gpus_per_rank = gpus_per_rank;
  return task;
}

SlurmAllocation allocation(std::vector<std::string> mpi = {"pmix", "none"}) {
  OwnJob job;
  job.id = "12";
  job.hosts = {{"n1", 4, 2}, {"n2", 4, 2}};
  job.end = 2000;
  SlurmCapabilities capabilities;
  capabilities.version = {22, 5, "22.05.8"};
  capabilities.select_type = "select/cons_tres";
  capabilities.mpi = std::move(mpi);
  return SlurmAllocation({job, capabilities, liveness, "/bin", "/work"});
}

Assignment on(std::vector<std::string> hosts, std::vector<std::string> gpus_of_rank = {}) {
  Assignment assignment;
  for (const std::string& host : hosts) assignment.ranks.push_back({host, {0}, gpus_of_rank});
  return assignment;
}

const TaskPaths kPaths("/runs/e/tasks/b-89ef");

TEST(SlurmAllocation, HasTheSlotsOfEachHost) {
  const auto slots = allocation().slots();
  ASSERT_EQ(slots.size(), 2u);
  EXPECT_EQ(slots[1].host, "n2");
  EXPECT_EQ(slots[1].cpus.size(), 4u);
  EXPECT_THAT(slots[1].gpus, ElementsAre("0", "1"));
}

TEST(SlurmAllocation, GangIsAStepOnTheHostsThatThePackerChose) {
  const GangOrder order = allocation().order(task_of(2, 1), kPaths, 3, on({"n2", "n2"}, {"0"}));
  EXPECT_EQ(order.argv.front(), "srun");
  EXPECT_THAT(order.argv, Contains("/bin/muster-runner"));
  EXPECT_THAT(order.argv, Contains("--rank")) << "srun's 0 says too little";
  EXPECT_TRUE(order.ranks_report);
  EXPECT_THAT(order.environment, Contains(Pair("MUSTER_DEADLINE", ::testing::StartsWith("2000"))));
  EXPECT_THAT(order.environment, Not(Contains(Key("CUDA_VISIBLE_DEVICES")))) << "Slurm names a step's GPUs";
  EXPECT_THAT(order.environment, Contains(Key("OMPI_MCA_btl")));
  EXPECT_THAT(order.cpus, ElementsAre()) << "the shim beside the launcher must not bind srun";
  EXPECT_EQ(order.ranks[1].host, "n2");
}

TEST(SlurmAllocation, RanksOnSeveralHostsMayUseTheInterconnect) {
  const GangOrder order = allocation().order(task_of(2, 0), kPaths, 1, on({"n1", "n2"}));
  EXPECT_THAT(order.environment, Not(Contains(Key("OMPI_MCA_btl"))));
  EXPECT_THAT(order.environment, Contains(Pair("CUDA_VISIBLE_DEVICES", "")));
}

TEST(SlurmAllocation, WithoutPmixMpirunStartsRanksOnTheirHosts) {
  const GangOrder order =
      allocation({"none", "pmi2"}).order(task_of(3, 0), kPaths, 1, on({"n1", "n1", "n2"}));
  ASSERT_GT(order.argv.size(), 3u);
  EXPECT_EQ(order.argv[0], "mpirun");
  EXPECT_EQ(order.argv[1], "--host");
  EXPECT_EQ(order.argv[2], "n1:2,n2:1");
  EXPECT_THAT(order.environment, Contains(Pair("OMPI_MCA_plm_slurm_args", "--overlap")));
}

TEST(SlurmAllocation, StartCameUpWhenARankOfItsStepSaysSo) {
  const testing::TemporaryFolder folder;
  const AttemptPaths attempt(folder.path());
  EXPECT_FALSE(allocation().came_up(task_of(2, 0), attempt));
  EXPECT_FALSE(allocation({"none"}).came_up(task_of(1, 0), attempt))
      << "srun starts a single rank without PMIx";
  EXPECT_TRUE(allocation({"none"}).came_up(task_of(2, 0), attempt)) << "nobody reports to the launcher";
  testing::write_text(attempt.rank_end(0), "");
  EXPECT_TRUE(allocation().came_up(task_of(2, 0), attempt));
}

TEST(SlurmAllocation, WithoutPmixGpusOfMpiRanksAreRefused) {
  EXPECT_THROW(allocation({"none"}).check(task_of(2, 1)), Error);
  EXPECT_NO_THROW(allocation({"none"}).check(task_of(1, 1)));
}

Task sharing_task(int ranks) {
  Task task = task_of(ranks, 1);
  task.resources.ranks_per_gpu = 2;
  task.resources.gpu_sharing = GpuSharing::time_slicing;
  return task;
}

TEST(SlurmAllocation, RanksThatShareGpusFillThoseOfTheirStep) {
  const GangOrder order = allocation().order(sharing_task(4), kPaths, 1, on({"n1", "n1", "n1", "n1"}, {"0"}));
  EXPECT_THAT(order.argv, Contains("--gres=gpu:2"));
  EXPECT_THAT(order.environment, Not(Contains(Key("MUSTER_GPUS")))) << "Slurm names a step's GPUs";
  EXPECT_NO_THROW(allocation().check(sharing_task(4)));
}

TEST(SlurmAllocation, AGpuIsNotSharedByTwoSteps) {
  const std::string text = testing::error_of(ExitCode::config, [] { allocation().check(sharing_task(3)); });
  EXPECT_THAT(text, ::testing::HasSubstr("3 ranks with 0.5 GPUs each"));
  EXPECT_THAT(text, ::testing::HasSubstr("a multiple of 2 ranks"));
}

}  // namespace
}  // namespace muster
