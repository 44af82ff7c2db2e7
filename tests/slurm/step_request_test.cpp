#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "slurm/job_request.hpp"
#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

SlurmCapabilities of_version(const std::string& text) {
  SlurmCapabilities capabilities;
  capabilities.version = parse_slurm_version("slurm " + text);
  capabilities.mpi = {"none", "pmix"};
  return capabilities;
}

TEST(SrunArguments, AreAGangOnItsHosts) {
  StepRequest request;
  request.hosts = {"n1", "n3"};
  request.ranks = 8;
  request.cpus_per_rank = 2;
  request.gpus_per_host = 4;
  request.mpi = true;
  request.job_name = "task 7";
  EXPECT_THAT(srun_arguments(of_version("22.05.8"), request),
              ElementsAre("srun", "--exact", "--kill-on-bad-exit=1", "--nodes=2", "--ntasks=8",
                          "--ntasks-per-node=4", "--cpus-per-task=2", "--distribution=block", "--gres=gpu:4",
                          "--mem=0", "--nodelist=n1,n3", "--mpi=pmix", "--input=none", "--job-name=task 7"));
}

TEST(SrunArguments, OfAStepWithoutGpusTakeNone) {
  EXPECT_THAT(srun_arguments(of_version("22.05.8"), {}), Contains("--gres=none"));
  EXPECT_THAT(srun_arguments(of_version("22.05.8"), {}), Contains("--mpi=none"));
}

TEST(SrunArguments, ShareAJobAsEachVersionSpellsIt) {
  const auto sharing = [](const std::string& version, bool oversubscribe) {
    StepRequest request;
    request.oversubscribe = oversubscribe;
    std::string found;
    for (const std::string& argument : srun_arguments(of_version(version), request))
      if (argument == "--exact" || argument == "--exclusive" || argument == "--overlap") found += argument;
    return found;
  };
  EXPECT_EQ(sharing("20.02.7", false), "--exclusive");
  EXPECT_EQ(sharing("20.02.7", true), "");
  EXPECT_EQ(sharing("20.11.2", false), "");
  EXPECT_EQ(sharing("20.11.3", false), "--exact");
  EXPECT_EQ(sharing("21.08.0", false), "--exact");
  EXPECT_EQ(sharing("25.05.1", false), "--exact");
  EXPECT_EQ(sharing("20.11.0", true), "--overlap");
  EXPECT_EQ(sharing("25.05.1", true), "--overlap");
}

TEST(SrunArguments, BindToCoresOnlyWhereThePluginDoes) {
  SlurmCapabilities capabilities = of_version("23.02.7");
  EXPECT_THAT(srun_arguments(capabilities, {}), Not(Contains(StartsWith("--cpu-bind"))));
  capabilities.task_plugin = "task/cgroup,task/affinity";
  EXPECT_THAT(srun_arguments(capabilities, {}), Contains("--cpu-bind=cores"));
  StepRequest crowded;
  crowded.oversubscribe = true;
  EXPECT_THAT(srun_arguments(capabilities, crowded), Contains("--cpu-bind=none"));
}

TEST(SrunArguments, LetAGangOfIndependentRanksGoOn) {
  StepRequest request;
  request.whole_gang = false;
  EXPECT_THAT(srun_arguments(of_version("22.05.8"), request), Contains("--kill-on-bad-exit=0"));
}

TEST(SrunArguments, RefuseMpiWithoutPmix) {
  SlurmCapabilities capabilities = of_version("23.11.1");
  capabilities.mpi = {"none", "pmi2"};
  StepRequest request;
  request.mpi = true;
  EXPECT_THAT(testing::error_of(ExitCode::config, [&] { srun_arguments(capabilities, request); }),
              HasSubstr("pmix"));
}

TEST(VariablesAgainstSrun, TakesAwayWhatWouldContradictTheArguments) {
  const auto variables = variables_against_srun();
  for (const char* name :
       {"SLURM_CPUS_PER_TASK", "SRUN_CPUS_PER_TASK", "SLURM_TRES_PER_TASK", "SLURM_MEM_PER_NODE",
        "SLURM_MEM_PER_CPU", "SLURM_NTASKS_PER_NODE", "SLURM_GPUS_PER_TASK", "SLURM_EXPORT_ENV",
        "SLURM_CPU_BIND", "SLURM_DISTRIBUTION", "SLURM_JOB_NUM_NODES"})
    EXPECT_THAT(variables, Contains(name));
}

TEST(VariablesAgainstSrun, LeavesTheJobItself) {
  const auto variables = variables_against_srun();
  for (const char* name :
       {"SLURM_JOB_ID", "SLURM_CONF", "SLURM_JOB_NODELIST", "SLURM_ARRAY_TASK_ID", "SLURM_RESTART_COUNT"})
    EXPECT_THAT(variables, Not(Contains(name)));
}

}  // namespace
}  // namespace muster
