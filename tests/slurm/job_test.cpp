/// `muster run` inside of jobs, on a real cluster.

#include <gmock/gmock.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "launcher/process_table.hpp"
#include "tests/slurm/cluster_fixture.hpp"
#include "tests/support/processes.hpp"

namespace muster::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// Where and when a task's command ran.
struct Stay {
  std::string task, gpu, step;
  double start = 0, end = 0;
};

class Job : public ClusterTest {
 protected:
  /// 1-GPU commands that take `seconds` and leave a Stay each.
  void commands(int tasks, double seconds) {
    write_text(root_ / "task.sh",
               "start=$EPOCHREALTIME; sleep " + std::to_string(seconds) +
                   "\necho $1 $SLURMD_NODENAME:$CUDA_VISIBLE_DEVICES $SLURM_STEP_ID $start "
                   "$EPOCHREALTIME >> stays\n");
    std::string cells;
    for (int task = 0; task < tasks; ++task) cells += (task == 0 ? "" : ", ") + std::to_string(task);
    write_text(root_ / "e.toml",
               "name = \"e\"\nworkload = \"exec\"\ncommand = [\"bash\", \"task.sh\", \"{n}\"]\n[resources]\n"
               "gpus_per_rank = 1\n[matrix.grid]\nn = [" +
                   cells + "]\n");
  }

  /// One task of the plugin whose state depends on every step, `seconds` long.
  void counting(int ranks, double seconds, const std::string& more = "") {
    constexpr int kSteps = 50;
    fs::copy_file(MUSTER_COUNTING, root_ / "counting.so", fs::copy_options::overwrite_existing);
    said_by({MUSTER_RUNNER, "--describe", root_ / "counting.so", "--output", root_ / "counting.json"});
    write_text(root_ / "e.toml",
               "name = \"e\"\nworkload = \"./counting.so\"\n[resources]\nranks = " + std::to_string(ranks) +
                   "\n" + more + "[policy]\ncheckpoint_steps = 5\n[parameters]\nsteps = " +
                   std::to_string(kSteps) + "\nstep_seconds = " + std::to_string(seconds / kSteps) + "\n");
  }

  /// What the plugin of `counting` makes of it without Slurm.
  std::string undisturbed(int ranks) {
    counting(ranks, 0, "oversubscribe = true\n");
    said_by({"env", "-C", root_.path(), MUSTER_PROGRAM, "run", "e.toml", "--runs", root_ / "local"});
    return result("local");
  }

  std::string submit(std::vector<std::string> options) {
    options.insert(options.begin(), {"sbatch", "--parsable", "--chdir=" + root_.path().string(), "--requeue",
                                     "--output=job.log", "--open-mode=append"});
    options.push_back("--wrap=exec " MUSTER_PROGRAM " run e.toml --runs runs");
    return said_by(options);
  }

  /// Submits, waits, and expects that it ended well.
  void run(const std::vector<std::string>& options, double seconds = 60) {
    const std::string job = submit(options);
    EXPECT_TRUE(wait_for_state(job, "COMPLETED", seconds)) << job_state(job) << "\n"
                                                           << text_of(root_ / "job.log");
  }

  std::vector<Stay> stays() const {
    std::vector<Stay> found;
    std::istringstream lines(text_of(root_ / "stays"));
    for (Stay stay; lines >> stay.task >> stay.gpu >> stay.step >> stay.start >> stay.end;)
      found.push_back(stay);
    return found;
  }

  fs::path task_folder(const std::string& runs = "runs") const {
    // Polled while a job makes it: it may not be there yet, or be empty.
    std::error_code ignored;
    for (const auto& task : fs::directory_iterator(root_ / runs / "e/tasks", ignored)) return task.path();
    return {};
  }
  std::string result(const std::string& runs = "runs") const {
    return text_of(task_folder(runs) / "artifacts/final.bin");
  }
  bool has_checkpoint() const {
    const fs::path folder = task_folder() / "checkpoints";
    return fs::exists(folder) && !fs::is_empty(folder);
  }
  bool nothing_runs() const {
    return processes_with_environment("MUSTER_ATTEMPT=" + (task_folder() / "attempt-1").string()).empty();
  }
  std::string state_of_task() {
    const auto status = nlohmann::json::parse(
        said_by({MUSTER_PROGRAM, "status", "--json", "--runs", root_ / "runs"}), nullptr, false);
    return status.dump();
  }

  TemporaryFolder root_;
};

std::vector<double> numbers(const std::string& bytes) {
  std::vector<double> values(bytes.size() / sizeof(double));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(double));
  return values;
}

std::set<std::string> gpus_of(const std::vector<Stay>& stays) {
  std::set<std::string> gpus;
  for (const Stay& stay : stays) gpus.insert(stay.gpu);
  return gpus;
}

TEST_F(Job, RunsFourTasksOnFourGpusAllAtOnce) {
  commands(4, 3);
  run({"--nodes=1", "--ntasks-per-node=4", "--gpus-per-node=4"});
  const auto found = stays();
  ASSERT_EQ(found.size(), 4u) << text_of(root_ / "job.log");
  EXPECT_EQ(gpus_of(found).size(), 4u) << text_of(root_ / "stays");
  const auto by_start = [](const Stay& a, const Stay& b) { return a.start < b.start; };
  const auto by_end = [](const Stay& a, const Stay& b) { return a.end < b.end; };
  EXPECT_LT(std::ranges::max_element(found, by_start)->start, std::ranges::min_element(found, by_end)->end);
}

TEST_F(Job, FillsTheGpusOfTwoNodesAndSharesNone) {
  commands(16, 1);
  run({"--nodes=2", "--ntasks-per-node=4", "--gpus-per-node=4"});
  const auto found = stays();
  ASSERT_EQ(found.size(), 16u) << text_of(root_ / "job.log");
  EXPECT_EQ(gpus_of(found).size(), 8u) << text_of(root_ / "stays");
  for (const Stay& one : found) {
    for (const Stay& other : found) {
      if (&one == &other || one.gpu != other.gpu) continue;
      EXPECT_FALSE(one.start <= other.start && other.start < one.end) << one.task << " " << other.task;
    }
  }
}

TEST_F(Job, SpreadsAGangOverNodesAsPlanned) {
  if (!fs::exists(cluster().folder() / "own-hostnames"))
    GTEST_SKIP() << "no right to give nodes host names of their own";
  const std::string expected = undisturbed(4);
  ASSERT_FALSE(expected.empty());
  counting(4, 0);
  run({"--nodes=2", "--ntasks-per-node=2"});
  // Sums over two hosts are added up in another order than on one.
  ASSERT_EQ(numbers(result()).size(), numbers(expected).size());
  EXPECT_THAT(numbers(result()), ::testing::Pointwise(::testing::DoubleEq(), numbers(expected)));
  const auto order = nlohmann::json::parse(text_of(task_folder() / "attempt-1/gang.json"));
  std::string hosts;
  for (const auto& rank : order.at("ranks")) hosts += rank.at("host").get<std::string>() + " ";
  EXPECT_EQ(hosts, "n1 n1 n2 n2 ");
}

TEST_F(Job, ThatIsInterruptedSavesAndTheNextOneGoesOnBitForBit) {
  const std::string expected = undisturbed(2);
  counting(2, 5);
  const std::string job = submit({"--ntasks=2"});
  ASSERT_TRUE(wait_until([&] { return has_checkpoint(); }, 30)) << text_of(root_ / "job.log");
  said_by({"scancel", "--signal=INT", "--batch", job});
  EXPECT_TRUE(wait_for_state(job, "FAILED")) << "exit code 75";
  EXPECT_TRUE(wait_until([&] { return nothing_runs(); }));
  EXPECT_THAT(state_of_task(), HasSubstr("\"stopped\""));
  run({"--ntasks=2"});
  EXPECT_TRUE(result() == expected) << text_of(root_ / "job.log");
  EXPECT_THAT(text_of(root_ / "job.log"), HasSubstr("counting goes on at step"));
}

TEST_F(Job, ThatIsCancelledLeavesNothingRunningAndKeepsItsCheckpoints) {
  counting(2, 30);
  const std::string job = submit({"--ntasks=2"});
  ASSERT_TRUE(wait_until([&] { return has_checkpoint(); }, 30)) << text_of(root_ / "job.log");
  said_by({"scancel", job});
  EXPECT_TRUE(wait_for_state(job, "CANCELLED"));
  EXPECT_TRUE(wait_until([&] { return nothing_runs(); }));
  EXPECT_TRUE(has_checkpoint());
  EXPECT_THAT(state_of_task(), HasSubstr("\"stopped\""));
}

TEST_F(Job, WhoseTimeIsShortGoesBackIntoTheQueueAndEndsBitForBit) {
  const std::string expected = undisturbed(2);
  counting(2, 5);
  const std::string job = submit({"--ntasks=2"});
  ASSERT_TRUE(wait_until([&] { return has_checkpoint(); }, 30)) << text_of(root_ / "job.log");
  // As --signal=B:USR1@120 sends it.
  said_by({"scancel", "--signal=USR1", "--batch", job});
  EXPECT_TRUE(wait_for_state(job, "PENDING")) << text_of(root_ / "job.log");
  EXPECT_TRUE(wait_for_state(job, "COMPLETED", 60)) << text_of(root_ / "job.log");
  EXPECT_TRUE(result() == expected) << text_of(root_ / "job.log");
  EXPECT_THAT(said_by({"scontrol", "show", "job", job}), HasSubstr("Restarts=1"));
}

}  // namespace
}  // namespace muster::testing
