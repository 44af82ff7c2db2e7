/// The calls of slurm/ against a real Slurm.

#include "slurm/batch_system.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <sstream>

#include "slurm/command.hpp"
#include "tests/slurm/cluster_fixture.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"

namespace muster::testing {
namespace {

using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

class BatchSystemTest : public ClusterTest {
 protected:
  void SetUp() override {
    ClusterTest::SetUp();
    if (IsSkipped()) return;
    capabilities = probe_slurm();
    slurm = make_slurm(capabilities);
  }

  JobRequest request_of(std::vector<std::string> command) {
    JobRequest request;
    request.name = "test";
    request.token = "muster:test:0";
    request.command = std::move(command);
    request.working_folder = folder.path();
    request.output = folder / "out.txt";
    request.signal_seconds = 0;
    return request;
  }

  JobStatus state_of(const std::string& job) {
    const auto states = slurm->states({job});
    return states.empty() ? JobStatus{} : states.front();
  }

  bool wait_for_phase(const std::string& job, JobPhase phase) {
    return wait_until([&] { return phase_of(state_of(job).state) == phase; }, 30);
  }

  /// What the job printed, once it has ended.
  std::string printed_by(const std::string& job, const std::string& file = "out.txt") {
    EXPECT_TRUE(wait_for_phase(job, JobPhase::ended)) << state_of(job).state;
    EXPECT_EQ(end_of(state_of(job).state), JobEnd::completed) << in_plain_words(state_of(job));
    return text_of(folder / file);
  }

  TemporaryFolder folder;
  SlurmCapabilities capabilities;
  std::unique_ptr<BatchSystem> slurm;
};

TEST_F(BatchSystemTest, ProbeFindsWhatTheClusterIs) {
  EXPECT_THAT(said_by({"srun", "--version"}), HasSubstr(capabilities.version.text));
  EXPECT_TRUE(capabilities.version.at_least(20, 11));
  EXPECT_TRUE(capabilities.packs_steps());
  ASSERT_THAT(capabilities.partitions, SizeIs(1));
  const SlurmPartition& partition = capabilities.partitions[0];
  EXPECT_EQ(capabilities.default_partition(), &partition);
  EXPECT_EQ(partition.nodes, 2);
  EXPECT_EQ(partition.cpus_per_node, 16);
  EXPECT_THAT(partition.gpus, ElementsAre(SlurmGpuType{"", 4, 2}));
}

TEST_F(BatchSystemTest, JobIsSubmittedFoundByItsTokenAndCancelled) {
  JobRequest request = request_of({"sleep", "100"});
  request.token = "muster:key:7";
  const std::string job = slurm->submit(request);
  ASSERT_TRUE(wait_for_phase(job, JobPhase::running));
  const auto found = slurm->states({}, "muster:key:");
  ASSERT_THAT(found, SizeIs(1));
  EXPECT_EQ(found[0].job, job);
  EXPECT_EQ(found[0].comment, "muster:key:7");
  EXPECT_THAT(found[0].nodes, AnyOf("n1", "n2"));
  EXPECT_THAT(slurm->states({}, "muster:other:"), IsEmpty());
  slurm->cancel(job);
  ASSERT_TRUE(wait_for_phase(job, JobPhase::ended));
  EXPECT_EQ(end_of(state_of(job).state), JobEnd::cancelled);
  EXPECT_NO_THROW(slurm->cancel(job));
}

TEST_F(BatchSystemTest, StrangeValuesArriveAsTheyAre) {
  const std::string strange = "a 'b' \"c\" $(touch evil) `touch evil`; | \\ \n#SBATCH --hold\n";
  JobRequest request = request_of({"printf", "%s|", strange, ""});
  request.name = strange;
  request.token = "muster:key:8" + strange;
  const std::string job = slurm->submit(request);
  EXPECT_EQ(printed_by(job), strange + "||");
  const JobStatus status = state_of(job);
  EXPECT_EQ(status.name, request.name);
  EXPECT_EQ(status.comment, request.token);
  EXPECT_FALSE(std::filesystem::exists(folder / "evil"));
}

TEST_F(BatchSystemTest, EveryElementOfAnArrayHasAState) {
  const auto begun = (folder / "begun-").string();
  JobRequest request = request_of({"sh", "-c", "touch \"$0$SLURM_ARRAY_TASK_ID\"; exec sleep 100", begun});
  request.array = "0-4,7";
  request.options.array_throttle = 2;
  const std::string job = slurm->submit(request);
  ASSERT_TRUE(wait_until([&] { return slurm->states({job}).size() == 3; }, 30));
  std::vector<std::string> tasks;
  for (const JobStatus& status : slurm->states({job})) {
    EXPECT_EQ(status.job, job);
    tasks.push_back(status.array_task);
  }
  EXPECT_THAT(tasks, UnorderedElementsAre("0", "1", "2-4,7%2"));
  // A signal that comes before a script has begun may be lost.
  using std::filesystem::exists;
  ASSERT_TRUE(wait_until([&] { return exists(begun + "0") && exists(begun + "1"); }, 30));
  slurm->ask_to_stop(job);
  EXPECT_TRUE(wait_until(
      [&] {
        for (const JobStatus& status : slurm->states({job}))
          if (phase_of(status.state) != JobPhase::ended) return false;
        return true;
      },
      30));
}

TEST_F(BatchSystemTest, FailureAndExitCodeAreSeen) {
  const std::string job = slurm->submit(request_of({"sh", "-c", "exit 3"}));
  ASSERT_TRUE(wait_for_phase(job, JobPhase::ended));
  EXPECT_EQ(in_plain_words(state_of(job)), "failed with exit code 3");
}

TEST_F(BatchSystemTest, DependencyThatFailedEndsTheJob) {
  const std::string first = slurm->submit(request_of({"false"}));
  JobRequest request = request_of({"true"});
  request.after = {first};
  const std::string second = slurm->submit(request);
  ASSERT_TRUE(wait_for_phase(second, JobPhase::ended));
  EXPECT_EQ(in_plain_words(state_of(second)), "cancelled: a job that it depends on did not end well");
}

TEST_F(BatchSystemTest, RequeuedJobWaitsAgainAndIsCounted) {
  const std::string job = slurm->submit(request_of({"sleep", "100"}));
  ASSERT_TRUE(wait_for_phase(job, JobPhase::running));
  EXPECT_EQ(state_of(job).restarts, 0);
  ASSERT_TRUE(slurm->requeue(job));
  ASSERT_TRUE(wait_for_phase(job, JobPhase::pending));
  EXPECT_EQ(state_of(job).restarts, 1);
}

TEST_F(BatchSystemTest, JobThatMayNotBeRequeuedSaysSo) {
  JobRequest request = request_of({"sleep", "100"});
  request.options.requeue = false;
  const std::string job = slurm->submit(request);
  ASSERT_TRUE(wait_for_phase(job, JobPhase::running));
  EXPECT_FALSE(slurm->requeue(job));
}

TEST_F(BatchSystemTest, RefusalComesInSlurmsWordsAndLeavesNothingQueued) {
  JobRequest request = request_of({"true"});
  request.token = "muster:refused:0";
  request.options.partition = "nowhere";
  EXPECT_THAT(error_of(ExitCode::resources, [&] { slurm->submit(request); }),
              HasSubstr("Invalid partition name specified"));
  EXPECT_THAT(slurm->states({}, "muster:refused:"), IsEmpty());
  EXPECT_THAT(error_of(ExitCode::config, [&] { check_request(capabilities, request, {}); }),
              HasSubstr("'nowhere'"));
}

TEST_F(BatchSystemTest, OwnJobKnowsItsHosts) {
  JobRequest request = request_of({PRINT_OWN_JOB});
  request.nodes = 2;
  request.tasks_per_node = 2;
  request.cpus_per_task = 3;
  request.gpus_per_node = 2;
  request.options.time = "10";
  const std::string job = slurm->submit(request);
  EXPECT_EQ(printed_by(job), job + "\n\n\n0\nends\nn1:6:2\nn2:6:2\n");
}

TEST_F(BatchSystemTest, OwnJobOfAnArrayElementIsItsOwn) {
  JobRequest request = request_of({PRINT_OWN_JOB});
  request.cpus_per_task = 2;
  request.array = "3,5";
  request.output = folder / "out-%a.txt";
  const std::string job = slurm->submit(request);
  ASSERT_TRUE(wait_until([&] { return text_of(folder / "out-5.txt").ends_with(":2:0\n"); }, 30));
  std::istringstream lines(text_of(folder / "out-5.txt"));
  std::string own, array, task;
  lines >> own >> array >> task;
  EXPECT_EQ(array, job);
  EXPECT_EQ(task, "5");
  // The last element's own id is the array's, so that it says less than array and index.
  EXPECT_THAT(slurm->states({array + "_" + task}), ElementsAre(::testing::Field(&JobStatus::own_id, own)));
}

/// srun's line and environment as one command of bash.
std::string shell_line(const SlurmCapabilities& capabilities, const StepRequest& step,
                       const std::string& command) {
  std::string line = "env";
  for (const std::string& name : variables_against_srun()) line += " -u " + name;
  for (const std::string& argument : srun_arguments(capabilities, step)) line += " " + shell_quoted(argument);
  return line + " bash -c " + shell_quoted(command);
}

TEST_F(BatchSystemTest, GangReachesBothHostsInOrder) {
  StepRequest step;
  step.hosts = {"n1", "n2"};
  step.ranks = 4;
  step.gpus_per_host = 4;
  step.mpi = true;
  JobRequest request = request_of(
      {"bash", "-c",
       shell_line(capabilities, step, "echo $SLURM_PROCID $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES") +
           " | sort"});
  request.nodes = 2;
  request.tasks_per_node = 2;
  request.gpus_per_node = 4;
  EXPECT_EQ(printed_by(slurm->submit(request)), "0 n1 0,1,2,3\n1 n1 0,1,2,3\n2 n2 0,1,2,3\n3 n2 0,1,2,3\n");
}

/// Slurm gives out memory as well: a step that takes it all would let the next ones wait.
class MemoryTrackingTest : public BatchSystemTest {
 protected:
  void SetUp() override {
    start_cluster(
        {"--nodes", "1", "--conf", "SelectTypeParameters=CR_Core_Memory", "--conf", "DefMemPerCPU=64"});
    if (IsSkipped()) return;
    capabilities = probe_slurm();
    slurm = make_slurm(capabilities);
  }
};

TEST_F(MemoryTrackingTest, StepsRunSideBySideEachOnAGpuOfItsOwn) {
  StepRequest step;
  step.hosts = {"n1"};
  step.cpus_per_rank = 2;
  step.gpus_per_host = 1;
  // Each waits for all: steps one after the other would never end.
  const std::string meet =
      "echo $CUDA_VISIBLE_DEVICES; touch here-$SLURM_STEP_ID; for i in {1..200}; do [ $(ls here-* | wc -l) = "
      "4 ] && exit 0; sleep 0.1; done; exit 1";
  const std::string one = shell_line(capabilities, step, meet) + " >gpu-$i &";
  // What a site's defaults or a user's shell may leave in the job's environment.
  const std::string script =
      "export SLURM_CPUS_PER_TASK=16 SLURM_MEM_PER_NODE=1000 SLURM_NTASKS=4 SLURM_GPUS_PER_NODE=4; for i in "
      "1 2 3 4; do " +
      one + " done; wait; cat gpu-* | sort";
  JobRequest request = request_of({"bash", "-c", script});
  request.tasks_per_node = 4;
  request.cpus_per_task = 2;
  request.gpus_per_node = 4;
  request.options.mem = "1000M";
  EXPECT_EQ(printed_by(slurm->submit(request)), "0\n1\n2\n3\n");
}

class AccountingTest : public BatchSystemTest {
 protected:
  void SetUp() override {
    start_cluster({"--accounting", "--nodes", "1"});
    if (IsSkipped()) return;
    capabilities = probe_slurm();
    slurm = make_slurm(capabilities);
  }
};

TEST_F(AccountingTest, KnowsWhatSqueueHasForgotten) {
  ASSERT_TRUE(capabilities.accounting);
  // Of a job that ends before slurmdbd has taken down its start, the name and the comment are never known.
  const std::string known = (folder / "known").string();
  JobRequest request = request_of({"sh", "-c", "until [ -e \"$0\" ]; do sleep 0.1; done; exit 3", known});
  request.name = "two\nlines | $(touch evil)";
  request.token = "muster:gone:1";
  const std::string job = slurm->submit(request);
  ASSERT_TRUE(wait_until(
      [&] {
        const auto shown = run_command({"sacct", "--noheader", "--jobs=" + job, "--format=JobName%40"});
        return shown.out.find("two") != std::string::npos;
      },
      60));
  write_text(known, "");
  ASSERT_TRUE(wait_for_phase(job, JobPhase::ended));

  // A squeue that prints nothing takes the place of the minutes after which the controller forgets a job.
  const std::string path = std::getenv("PATH");
  std::filesystem::create_directory(folder / "bin");
  std::filesystem::create_symlink("/bin/true", folder / "bin/squeue");
  setenv("PATH", ((folder / "bin").string() + ":" + path).c_str(), 1);
  const bool written = wait_until([&] { return phase_of(state_of(job).state) == JobPhase::ended; }, 60);
  const JobStatus by_job = state_of(job);
  const auto by_token = slurm->states({}, "muster:gone:");
  setenv("PATH", path.c_str(), 1);

  ASSERT_TRUE(written);
  EXPECT_EQ(in_plain_words(by_job), "failed with exit code 3");
  EXPECT_EQ(by_job.name, request.name);
  ASSERT_THAT(by_token, SizeIs(1));
  EXPECT_EQ(by_token[0].job, job);
}

class SilentControllerTest : public BatchSystemTest {
 protected:
  void SetUp() override {
    start_cluster({"--nodes", "1", "--conf", "MessageTimeout=2"});
    if (IsSkipped()) return;
    capabilities = probe_slurm();
    slurm = make_slurm(capabilities);
  }
};

TEST_F(SilentControllerTest, IsSaidToBeTriedAgain) {
  cluster().control({"kill-controller"});
  EXPECT_THAT(error_of(ExitCode::busy, [&] { slurm->states({"1"}); }), HasSubstr("does not answer"));
  EXPECT_THAT(error_of(ExitCode::resources, [&] { probe_slurm(); }), HasSubstr("does not answer"));
  cluster().control({"start-controller"});
  EXPECT_TRUE(wait_until([&] { return run_command({"squeue"}).ok(); }, 30));
  EXPECT_THAT(slurm->states({"1"}), IsEmpty());
}

}  // namespace
}  // namespace muster::testing
