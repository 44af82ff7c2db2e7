#include "launcher/job_liveness.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "core/error.hpp"

namespace muster {
namespace {

/// A fake: what a controller says of a job cannot be caused at will.
class FakeSystem : public BatchSystem {
 public:
  std::string submit(const JobRequest&) override { return ""; }
  std::vector<JobStatus> states(const std::vector<std::string>&, const std::string&) override {
    ++calls;
    if (!answers) throw Error(ExitCode::busy, "the controller does not answer", "wait");
    return jobs;
  }
  void ask_to_stop(const std::string&) override {}
  void cancel(const std::string&) override {}
  bool requeue(const std::string&) override { return false; }

  void says(const std::string& state, int restarts = 0) {
    JobStatus status;
    status.job = status.own_id = "7";
    status.state = state;
    status.restarts = restarts;
    jobs = {status};
  }

  std::vector<JobStatus> jobs;
  bool answers = true;
  int calls = 0;
};

ProcessIdentity elsewhere(int restarts = 0) {
  ProcessIdentity process = identity_of(getpid());
  process.host = "another-host";
  process.job = "7";
  process.job_restarts = restarts;
  return process;
}

TEST(JobLiveness, ProcessOfThisHostIsLookedForHere) {
  FakeSystem system;
  EXPECT_EQ(make_job_liveness(&system)(own_identity()), Liveness::alive);
  EXPECT_EQ(system.calls, 0);
}

TEST(JobLiveness, ProcessElsewhereIsWhatItsJobIs) {
  const auto by = [](const std::string& state, int restarts = 0) {
    FakeSystem system;
    system.says(state, restarts);
    return make_job_liveness(&system)(elsewhere());
  };
  EXPECT_EQ(by("RUNNING"), Liveness::alive);
  EXPECT_EQ(by("COMPLETING"), Liveness::alive);
  EXPECT_EQ(by("PENDING"), Liveness::dead) << "requeued";
  EXPECT_EQ(by("RUNNING", 1), Liveness::dead) << "runs again since";
  EXPECT_EQ(by("NODE_FAIL"), Liveness::dead);
  EXPECT_EQ(by("A_STATE_OF_TOMORROW"), Liveness::unknown);
}

TEST(JobLiveness, JobThatSlurmDoesNotKnowIsOver) {
  FakeSystem system;
  EXPECT_EQ(make_job_liveness(&system)(elsewhere()), Liveness::dead);
}

TEST(JobLiveness, SilentControllerDecidesNothing) {
  FakeSystem system;
  system.answers = false;
  EXPECT_EQ(make_job_liveness(&system)(elsewhere()), Liveness::unknown);
  EXPECT_EQ(make_job_liveness(nullptr)(elsewhere()), Liveness::unknown);
}

TEST(JobLiveness, OwnJobStartedAgainNeedsNoAsking) {
  FakeSystem system;
  system.says("RUNNING");
  setenv("SLURM_JOB_ID", "7", 1);
  setenv("SLURM_RESTART_COUNT", "1", 1);
  EXPECT_EQ(make_job_liveness(&system)(elsewhere(0)), Liveness::dead);
  EXPECT_EQ(make_job_liveness(&system)(elsewhere(1)), Liveness::alive);
  unsetenv("SLURM_JOB_ID");
  unsetenv("SLURM_RESTART_COUNT");
}

TEST(JobLiveness, SlurmIsAskedOnceForALongTime) {
  FakeSystem system;
  system.says("RUNNING");
  const LivenessOf liveness_of = make_job_liveness(&system);
  for (int look = 0; look < 100; ++look) liveness_of(elsewhere());
  EXPECT_EQ(system.calls, 1);
}

}  // namespace
}  // namespace muster
