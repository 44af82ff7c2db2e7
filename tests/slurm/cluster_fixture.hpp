#pragma once
/// A real Slurm cluster of a test program's own: slurm/test-cluster.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.hpp"

namespace muster::testing {

/// This machine has no Slurm to start; what() says what it lacks.
struct NoSlurm : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Runs from construction to destruction, or to the end of this process. Puts what Slurm's commands and Open
/// MPI need into this process's environment, so that children have it.
class TestCluster {
 public:
  /// `options` as `slurm/test-cluster start` takes them: {"--nodes", "1"}. Throws NoSlurm.
  explicit TestCluster(const std::vector<std::string>& options = {});
  ~TestCluster();
  TestCluster(const TestCluster&) = delete;
  TestCluster& operator=(const TestCluster&) = delete;

  /// {"crash-node", "n1"}, {"kill-controller"}.
  void control(const std::vector<std::string>& command_and_node);
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void stop();

  TemporaryFolder root_;
  std::filesystem::path folder_;
};

/// Tests of one program share a cluster of 2 nodes with 16 CPUs and 4 GPUs each, all of it idle at a test's
/// start. Skips, naming what is missing, where there is no Slurm.
class ClusterTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// For a test that needs another cluster than the shared one, which it ends. Skips as SetUp does: call it
  /// in an override of SetUp.
  void start_cluster(const std::vector<std::string>& options);
  TestCluster& cluster();

  /// stdout and stderr of one of Slurm's commands, without the last newline. Fails the test where it fails.
  std::string said_by(const std::vector<std::string>& argv);
  /// The state of a job as squeue prints it, of its batch script's job: "RUNNING"; "" where it is not known.
  std::string job_state(const std::string& job);
  bool wait_for_state(const std::string& job, const std::string& state, double seconds = 30);
};

}  // namespace muster::testing
