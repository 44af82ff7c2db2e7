#include "runner/host_topology.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/cpu_list.hpp"
#include "core/durable_file.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// The part of sysfs that tells of nodes: two with CPUs, one of memory alone, a GPU on node 1.
class FakeSysfs {
 public:
  FakeSysfs() {
    write("devices/system/node/node0/cpulist", "0-3,8-11\n");
    write("devices/system/node/node1/cpulist", "4-7,12-15\n");
    write("devices/system/node/node2/cpulist", "\n");
    write("devices/system/node/possible", "0-2\n");
    write("bus/pci/devices/0000:65:00.0/numa_node", "1\n");
    write("bus/pci/devices/0000:17:00.0/numa_node", "-1\n");
  }
  const std::filesystem::path& root() const { return folder_.path(); }

 private:
  void write(const std::string& file, const std::string& text) {
    make_folders((folder_ / file).parent_path());
    testing::write_text(folder_ / file, text);
  }
  testing::TemporaryFolder folder_;
};

TEST(HostTopology, FindsTheNodesOfCpus) {
  const FakeSysfs sysfs;
  EXPECT_THAT(numa_nodes_of({1, 8}, sysfs.root()), ElementsAre(0));
  EXPECT_THAT(numa_nodes_of({3, 4}, sysfs.root()), ElementsAre(0, 1));
  EXPECT_THAT(numa_nodes_of({99}, sysfs.root()), IsEmpty());
}

TEST(HostTopology, FindsTheNodeOfADevice) {
  const FakeSysfs sysfs;
  EXPECT_EQ(numa_node_of("0000:65:00.0", sysfs.root()), 1);
  EXPECT_EQ(numa_node_of("0000:17:00.0", sysfs.root()), -1);
  EXPECT_EQ(numa_node_of("0000:ff:00.0", sysfs.root()), -1);
}

TEST(HostTopology, IsEmptyWhereTheKernelTellsNothing) {
  const testing::TemporaryFolder empty;
  EXPECT_THAT(numa_nodes_of({0}, empty.path()), IsEmpty());
}

TEST(HostTopology, PlacesTheCpusOfThisMachine) {
  if (!std::filesystem::exists("/sys/devices/system/node/node0"))
    GTEST_SKIP() << "needs a kernel that tells of NUMA nodes in /sys";
  const std::vector<int> nodes = numa_nodes_of(allowed_cpus());
  ASSERT_FALSE(nodes.empty());
  std::vector<int> one_by_one;
  for (const int cpu : allowed_cpus()) {
    const std::vector<int> of_cpu = numa_nodes_of({cpu});
    ASSERT_EQ(of_cpu.size(), 1U) << "CPU " << cpu;
    one_by_one.push_back(of_cpu.front());
  }
  EXPECT_THAT(one_by_one, ::testing::Each(::testing::AnyOfArray(nodes)));
}

}  // namespace
}  // namespace muster
