/// The test cluster itself: what tests of muster rely on.

#include <signal.h>

#include <set>
#include <sstream>

#include "tests/slurm/cluster_fixture.hpp"
#include "tests/support/processes.hpp"

namespace muster::testing {
namespace {

class Cluster : public ClusterTest {
 protected:
  std::string file(const std::string& name) const { return (files_ / name).string(); }
  std::string text(const std::string& name) const { return text_of(files_ / name); }

  std::string submit(const std::string& node, const std::string& script) {
    return said_by({"sbatch", "--parsable", "--nodelist=" + node, "--output=/dev/null", "--wrap=" + script});
  }

  /// Whether each of the processes that a job wrote to `name` lives.
  std::multiset<bool> lives(const std::string& name) const {
    std::multiset<bool> found;
    std::istringstream pids(text(name));
    for (std::string pid; pids >> pid;) {
      const std::string stat = text_of("/proc/" + pid + "/stat");
      found.insert(!stat.empty() && stat.find(") Z ") == std::string::npos);
    }
    return found;
  }

  TemporaryFolder files_;
};

const std::multiset<bool> kBothLive = {true, true}, kBothAreGone = {false, false};

TEST_F(Cluster, GivesStepsOfAnAllocationAGpuEachAllAtOnce) {
  const std::string said = said_by(
      {"salloc", "--quiet", "--nodes=1", "--gpus-per-node=4", "--cpus-per-task=4", "bash", "-c",
       "unset SLURM_GPUS_PER_NODE; for n in 1 2 3 4; do srun --quiet --exact -n1 -c1 --gpus-per-task=1 "
       "bash -c 'echo $CUDA_VISIBLE_DEVICES; sleep 1' & done; wait"});
  EXPECT_EQ(said.size(), 7u) << said;
  EXPECT_EQ(std::set<char>(said.begin(), said.end()), (std::set<char>{'0', '1', '2', '3', '\n'})) << said;
}

TEST_F(Cluster, GivesEveryNodeAHostNameOfItsOwn) {
  if (!std::filesystem::exists(cluster().folder() / "own-hostnames"))
    GTEST_SKIP() << "no right to give nodes host names of their own";
  EXPECT_EQ(said_by({"bash", "-c", "srun -N2 hostname | sort"}), "n1\nn2");
}

TEST_F(Cluster, ACrashedNodeLeavesNoProcessOfItsJobs) {
  submit("n1", "(setsid sleep 301 & echo $! >> " + file("pids") + "); sleep 301 & echo $! >> " +
                   file("pids") + "; wait");
  ASSERT_TRUE(wait_until([&] { return lives("pids") == kBothLive; }));
  cluster().control({"crash-node", "n1"});
  EXPECT_TRUE(wait_until([&] { return lives("pids") == kBothAreGone; }));
  cluster().control({"start-node", "n1"});
}

TEST_F(Cluster, AKilledNodeLeavesItsJobsRunning) {
  submit("n2",
         "sleep 301 & echo $! >> " + file("pids") + "; sleep 301 & echo $! >> " + file("pids") + "; wait");
  ASSERT_TRUE(wait_until([&] { return lives("pids") == kBothLive; }));
  cluster().control({"kill-node", "n2"});
  EXPECT_EQ(lives("pids"), kBothLive);
  cluster().control({"start-node", "n2"});
  EXPECT_EQ(lives("pids"), kBothLive);
}

TEST_F(Cluster, AControllerThatComesBackKnowsItsJobs) {
  const std::string job = submit("n1", "sleep 301");
  ASSERT_TRUE(wait_for_state(job, "RUNNING"));
  cluster().control({"kill-controller"});
  cluster().control({"start-controller"});
  EXPECT_TRUE(wait_for_state(job, "RUNNING"));
}

class ClusterWithAccounting : public ClusterTest {
 protected:
  void SetUp() override { start_cluster({"--accounting", "--nodes", "1"}); }
};

TEST_F(ClusterWithAccounting, RemembersAJobsComment) {
  said_by({"srun", "--comment=seen", "true"});
  EXPECT_TRUE(wait_until([&] {
    return said_by({"sacct", "-X", "-n", "-P", "-o", "State,Comment"}) == "COMPLETED|seen";
  }));
}

}  // namespace
}  // namespace muster::testing
