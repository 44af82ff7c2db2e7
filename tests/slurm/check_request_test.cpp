#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "slurm/job_request.hpp"
#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class CheckRequest : public ::testing::Test {
 protected:
  CheckRequest() {
    SlurmPartition cpu;
    cpu.name = "cpu";
    cpu.is_default = true;
    cpu.max_seconds = 86400;
    cpu.nodes = 10;
    cpu.max_nodes = 2;
    cpu.cpus_per_node = 64;
    cpu.memory_per_node = 256'000;
    SlurmPartition gpu = cpu;
    gpu.name = "gpu";
    gpu.is_default = false;
    gpu.max_seconds = std::nullopt;
    gpu.nodes = 4;
    gpu.max_nodes = std::nullopt;
    gpu.gpus = {{"a100", 4, 4}, {"h100", 2, 1}};
    SlurmPartition old = cpu;
    old.name = "old";
    old.is_default = false;
    old.is_up = false;
    capabilities.partitions = {cpu, gpu, old};
  }

  std::string said(ExitCode code) {
    return testing::error_of(code, [this] { check_request(capabilities, request, places); });
  }
  std::string refused() { return said(ExitCode::resources); }
  void accepted() { EXPECT_NO_THROW(check_request(capabilities, request, places)); }

  SlurmCapabilities capabilities;
  JobRequest request;
  std::map<std::string, SourcePlace> places;
};

TEST_F(CheckRequest, AcceptsWhatThereIs) {
  accepted();
  request.options.partition = "gpu";
  request.nodes = 4;
  request.tasks_per_node = 4;
  request.cpus_per_task = 16;
  request.gpus_per_node = 4;
  request.options.gpu_type = "a100";
  request.options.time = "30-00";
  request.options.mem = "250G";
  request.options.modules = {"gcc/12.2.0-x86_64", "CUDA/12.1"};
  accepted();
}

TEST_F(CheckRequest, NamesThePartitionThatWasMeantAtItsPlace) {
  request.options.partition = "gpuu";
  places["slurm.partition"] = {"a.toml", 3, 1};
  EXPECT_THAT(said(ExitCode::config),
              AllOf(StartsWith("a.toml:3:1: there is no partition 'gpuu'"), HasSubstr("'gpu'")));
}

TEST_F(CheckRequest, NamesAllPartitionsWhereNoneIsNear) {
  request.options.partition = "something";
  EXPECT_THAT(said(ExitCode::config), HasSubstr("cpu, gpu, old"));
}

TEST_F(CheckRequest, WantsAPartitionWhereNoneIsTheDefault) {
  for (SlurmPartition& partition : capabilities.partitions) partition.is_default = false;
  EXPECT_THAT(said(ExitCode::config), AllOf(HasSubstr("no default partition"), HasSubstr("cpu, gpu, old")));
}

TEST_F(CheckRequest, RefusesAPartitionThatIsDown) {
  request.options.partition = "old";
  EXPECT_THAT(refused(), HasSubstr("partition 'old' starts no jobs"));
}

TEST_F(CheckRequest, SaysHowManyGpusThereAre) {
  request.options.partition = "gpu";
  request.gpus_per_node = 8;
  EXPECT_THAT(refused(), AllOf(HasSubstr("8 GPUs a node cannot be had"),
                               HasSubstr("partition 'gpu' has 4 nodes with 4 GPUs of type a100 each"),
                               HasSubstr("1 node with 2 GPUs of type h100"), HasSubstr("ask for 4 a node")));
  request.gpus_per_node = 4;
  request.options.gpu_type = "h100";
  EXPECT_THAT(refused(), HasSubstr("4 GPUs a node of type h100 cannot be had"));
}

TEST_F(CheckRequest, SaysWhereThereAreNoGpusAtAll) {
  request.gpus_per_node = 1;
  EXPECT_THAT(refused(),
              AllOf(HasSubstr("partition 'cpu' has no GPUs"), HasSubstr("choose another partition")));
}

TEST_F(CheckRequest, NamesTheGpuTypeThatWasMeant) {
  request.options.partition = "gpu";
  request.options.gpu_type = "a10";
  request.gpus_per_node = 1;
  EXPECT_THAT(refused(), AllOf(HasSubstr("no GPU of type 'a10'"), HasSubstr("'a100'")));
}

TEST_F(CheckRequest, RefusesMoreNodesThanThereAreOrAJobIsGiven) {
  request.nodes = 3;
  EXPECT_THAT(refused(), HasSubstr("partition 'cpu' gives a job 2"));
  request.options.partition = "gpu";
  request.nodes = 5;
  EXPECT_THAT(refused(), HasSubstr("partition 'gpu' has 4"));
}

TEST_F(CheckRequest, RefusesMoreCpusAndMemoryThanANodeHas) {
  request.tasks_per_node = 5;
  request.cpus_per_task = 13;
  EXPECT_THAT(refused(), AllOf(HasSubstr("65 CPUs a node"), HasSubstr("has 64")));
  request.tasks_per_node = 1;
  request.options.mem = "1T";
  EXPECT_THAT(refused(), AllOf(HasSubstr("mem = 1T"), HasSubstr("256000M")));
}

TEST_F(CheckRequest, RefusesATimeThatIsTooLongOrNone) {
  request.options.time = "2-00:00:00";
  EXPECT_THAT(refused(),
              AllOf(HasSubstr("a time of 2-00:00:00 is too long"), HasSubstr("allows 1-00:00:00")));
  request.options.time = "UNLIMITED";
  EXPECT_THAT(refused(), HasSubstr("too long"));
  request.options.time = "two hours";
  EXPECT_THAT(said(ExitCode::config), HasSubstr("is no time that sbatch takes"));
}

TEST_F(CheckRequest, RefusesAnArrayIndexThatSlurmHasNot) {
  capabilities.max_array_size = 1001;
  request.array = "0-3,1000";
  accepted();
  request.array = "0-1001";
  EXPECT_THAT(refused(), HasSubstr("largest index is 1000"));
}

TEST_F(CheckRequest, RefusesModulesThatAreNoNames) {
  for (const char* name : {"", "-f", "a b", "$(id)", "a;b", "a\nb", "`id`"}) {
    request.options.modules = {name};
    EXPECT_THAT(said(ExitCode::config), HasSubstr("is no name of a module"));
  }
}

TEST_F(CheckRequest, RefusesMemoryThatIsNoSize) {
  request.options.mem_per_cpu = "much";
  EXPECT_THAT(said(ExitCode::config), HasSubstr("mem_per_cpu"));
}

TEST_F(CheckRequest, RefusesAContainerThatSlurmIsTooOldFor) {
  request.options.container = "/images/a";
  capabilities.version = parse_slurm_version("slurm 20.11.9");
  EXPECT_THAT(refused(), HasSubstr("Slurm 20.11.9 runs no containers"));
  capabilities.version = parse_slurm_version("slurm 21.08.0");
  accepted();
}

TEST_F(CheckRequest, TakesOneOfSeveralPartitionsThatCan) {
  request.options.partition = "cpu,gpu";
  request.gpus_per_node = 2;
  accepted();
  request.options.partition = "cpu,old";
  EXPECT_THAT(refused(), HasSubstr("partition 'cpu' has no GPUs"));
}

TEST_F(CheckRequest, LeavesToSlurmWhatCannotBeKnown) {
  capabilities.partitions.clear();
  request.options.partition = "anything";
  request.nodes = 1000;
  accepted();
}

}  // namespace
}  // namespace muster
