#include "slurm/capabilities.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/slurm/fake_slurm.hpp"
#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(SlurmVersion, IsReadFromEveryFormThatIsPrinted) {
  const SlurmVersion debian = parse_slurm_version("slurm-wlm 22.05.8\n");
  EXPECT_EQ(debian.as_pair(), std::pair(22, 5));
  EXPECT_EQ(debian.micro, 8);
  EXPECT_EQ(debian.text, "22.05.8");
  EXPECT_EQ(parse_slurm_version("slurm 21.08.8-2\n").micro, 8);
  EXPECT_EQ(parse_slurm_version("slurm 25.11.0-0rc1").text, "25.11.0-0rc1");
  EXPECT_EQ(parse_slurm_version("no version").as_pair(), std::pair(0, 0));
  EXPECT_EQ(parse_slurm_version("").text, "");
}

TEST(SlurmVersion, IsOrderedByYearThenMonth) {
  const SlurmVersion version = parse_slurm_version("slurm 23.02.7");
  EXPECT_TRUE(version.at_least(22, 5));
  EXPECT_TRUE(version.at_least(23, 2));
  EXPECT_FALSE(version.at_least(23, 11));
}

TEST(MpiList, IsReadAsOldAndNewVersionsPrintIt) {
  EXPECT_THAT(parse_mpi_list("srun: MPI types are...\nsrun: none\nsrun: pmix_v3\n"),
              ElementsAre("none", "pmix_v3"));
  EXPECT_THAT(parse_mpi_list("MPI plugin types are...\n\tnone\n\tpmix\nspecific pmix plugin versions "
                             "available: pmix_v4,pmix_v5\n"),
              ElementsAre("none", "pmix", "pmix_v4", "pmix_v5"));
  EXPECT_THAT(parse_mpi_list(""), IsEmpty());
}

TEST(SlurmConfig, KeepsDefaultsForWhatIsNotThere) {
  SlurmCapabilities capabilities;
  parse_slurm_config("nonsense\nMaxArraySize = many\n", capabilities);
  EXPECT_EQ(capabilities.max_array_size, 1001);
  EXPECT_EQ(capabilities.max_job_count, 10000);
  EXPECT_EQ(capabilities.kill_wait_seconds, 30);
  EXPECT_TRUE(capabilities.requeue);
  EXPECT_FALSE(capabilities.accounting);
}

TEST(SlurmConfig, KnowsWhichPluginsPackAndBind) {
  const auto with = [](const std::string& text) {
    SlurmCapabilities capabilities;
    parse_slurm_config(text, capabilities);
    return capabilities;
  };
  EXPECT_TRUE(with("SelectType = select/cons_tres\n").packs_steps());
  EXPECT_TRUE(with("SelectType = select/cons_res\n").packs_steps());
  EXPECT_FALSE(with("SelectType = select/linear\n").packs_steps());
  EXPECT_TRUE(with("TaskPlugin = task/cgroup,task/affinity\n").binds_cpus());
  EXPECT_FALSE(with("TaskPlugin = task/cgroup\n").binds_cpus());
  EXPECT_FALSE(with("TaskPlugin = task/none\n").binds_cpus());
}

SlurmPartition partition_of_node(const std::string& node_fields) {
  const auto partitions = parse_partitions("PartitionName=p Default=YES TotalNodes=1 State=UP\n",
                                           "NodeName=n1 " + node_fields + " Partitions=p \n");
  return partitions.at(0);
}

TEST(Partitions, KnowGpusInEverySpelling) {
  EXPECT_THAT(partition_of_node("Gres=gpu:4").gpus, ElementsAre(SlurmGpuType{"", 4, 1}));
  EXPECT_THAT(partition_of_node("Gres=gpu").gpus, ElementsAre(SlurmGpuType{"", 1, 1}));
  EXPECT_THAT(partition_of_node("Gres=gpu:a100").gpus, ElementsAre(SlurmGpuType{"a100", 1, 1}));
  EXPECT_THAT(partition_of_node("Gres=gpu:a100:4(S:0-1)").gpus, ElementsAre(SlurmGpuType{"a100", 4, 1}));
  EXPECT_THAT(partition_of_node("Gres=nic:2,gpu:a100:2(S:0,1),gpu:a100:2(S:2,3),gpu:h100:1").gpus,
              ElementsAre(SlurmGpuType{"a100", 4, 1}, SlurmGpuType{"h100", 1, 1}));
  EXPECT_THAT(partition_of_node("Gres=(null)").gpus, IsEmpty());
  EXPECT_THAT(partition_of_node("Gres=gpux:4").gpus, IsEmpty());
}

TEST(Partitions, LeaveOutTheCpusThatSlurmKeeps) {
  EXPECT_EQ(partition_of_node("CPUAlloc=0 CPUEfctv=62 CPUTot=64 RealMemory=1000").cpus_per_node, 62);
  EXPECT_EQ(partition_of_node("CPUAlloc=0 CPUTot=64 RealMemory=1000").cpus_per_node, 64);
}

TEST(Partitions, OfNoTextAreNone) {
  EXPECT_THAT(parse_partitions("", "No nodes in the system\n"), IsEmpty());
}

TEST(Capabilities, ComeBackFromJson) {
  const testing::FakeSlurm fake("25.05");
  const SlurmCapabilities capabilities = probe_slurm();
  const std::string json = capabilities_to_json(capabilities);
  const SlurmCapabilities read = capabilities_from_json(json);
  EXPECT_EQ(capabilities_to_json(read), json);
  EXPECT_EQ(read.version.text, capabilities.version.text);
  ASSERT_EQ(read.partitions.size(), capabilities.partitions.size());
  EXPECT_EQ(read.partitions[1].gpus, capabilities.partitions[1].gpus);
  EXPECT_EQ(read.partitions[0].max_seconds, capabilities.partitions[0].max_seconds);
  EXPECT_FALSE(read.partitions[2].max_seconds);
}

TEST(Capabilities, OfDamagedJsonSayWhatToDo) {
  for (const std::string text : {"", "{", "{}", R"({"version": 1})"}) {
    const std::string said = testing::error_of(ExitCode::storage, [&] { capabilities_from_json(text); });
    EXPECT_THAT(said, HasSubstr("slurm.json"));
  }
}

TEST(Probe, WithoutSlurmSaysSo) {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nonexistent", 1);
  const std::string said = testing::error_of(ExitCode::config, [] { probe_slurm(); });
  setenv("PATH", path.c_str(), 1);
  EXPECT_THAT(said, HasSubstr("there is no Slurm here"));
}

TEST(Probe, WithoutAControllerPassesOnSlurmsWords) {
  testing::FakeSlurm fake("23.02");
  fake.answer("config", "",
              "slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)\n", 1);
  const std::string said = testing::error_of(ExitCode::resources, [] { probe_slurm(); });
  EXPECT_THAT(said, HasSubstr("Unable to contact slurm controller (connect failure)"));
}

TEST(Probe, WithAccountingThatDoesNotAnswerDoesWithout) {
  testing::FakeSlurm fake("23.02");
  EXPECT_TRUE(probe_slurm().accounting);
  fake.answer("sacct", "", "sacct: error: slurm_persist_conn_open: failed to send persistent connection\n",
              1);
  EXPECT_FALSE(probe_slurm().accounting);
}

TEST(Probe, WithoutAccountingNeverCallsSacct) {
  const testing::FakeSlurm fake("21.08");
  EXPECT_FALSE(probe_slurm().accounting);
  EXPECT_THAT(fake.calls("sacct"), IsEmpty());
}

}  // namespace
}  // namespace muster
