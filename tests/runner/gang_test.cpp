/// Whole gangs: mpirun, muster-runner and a plugin that misbehaves on request.

#include "gang.hpp"

#include <gtest/gtest.h>
#include <signal.h>

#include <cmath>
#include <fstream>
#include <numeric>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "results/metric_reader.hpp"

namespace muster {
namespace {

std::vector<std::int64_t> counted_to(std::int64_t last) {
  std::vector<std::int64_t> steps(static_cast<std::size_t>(last));
  std::iota(steps.begin(), steps.end(), 1);
  return steps;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// What shows a gang so many GPUs of a fake driver ("none": no driver starts), and gives it `visible`.
std::map<std::string, std::string> fake_gpus(const std::string& number, const std::string& visible,
                                             const std::map<std::string, std::string>& more = {}) {
  std::map<std::string, std::string> environment{{"CUDA_VISIBLE_DEVICES", visible},
                                                 {"LD_LIBRARY_PATH", MUSTER_FAKE_NVML_FOLDER},
                                                 {"FAKE_NVML_GPUS", number}};
  environment.insert(more.begin(), more.end());
  return environment;
}

std::string undisturbed_sums(int ranks, int steps) {
  const TaskFolder folder(ranks, {{"steps", steps}});
  EXPECT_EQ(run_gang(folder, 1), 0) << folder.log(1);
  return folder.final_sums();
}

TEST(Gang, FinishesWithMetricsAndEvents) {
  for (const int ranks : {1, 2, 3}) {
    const TaskFolder folder(ranks);
    ASSERT_EQ(run_gang(folder, 1), 0) << folder.log(1);
    EXPECT_EQ(folder.metric_steps(1), counted_to(20));
    EXPECT_EQ(folder.events(1).front(), "started");
    EXPECT_EQ(folder.events(1).back(), "finished");
    EXPECT_TRUE(folder.checkpoints().empty());
  }
}

TEST(Gang, SavesEverySoManySteps) {
  TaskFolder folder(2, {{"steps", 25}});
  folder.task.policy.checkpoint_steps = 10;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1), 0) << folder.log(1);
  EXPECT_EQ(folder.checkpoints(), (std::vector<std::string>{"step-000000000010", "step-000000000020"}));
}

TEST(Gang, SavesBySeconds) {
  TaskFolder folder(2, {{"steps", 60}, {"step_seconds", 0.02}});
  folder.task.policy.checkpoint_seconds = 0.3;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1), 0) << folder.log(1);
  EXPECT_EQ(folder.checkpoints().size(), 2U);
}

TEST(Gang, SavesAndStopsOnASignalAndGoesOnBitwise) {
  const TaskFolder folder(2, {{"steps", 200}, {"step_seconds", 0.01}});
  {
    Gang gang(folder, 1);
    ASSERT_TRUE(becomes_true([&] { return folder.events(1).size() >= 2; }));
    kill(gang.pid(), SIGUSR1);
    ASSERT_EQ(gang.wait(), static_cast<int>(ExitCode::stopped)) << folder.log(1);
  }
  EXPECT_EQ(folder.events(1).back(), "stopped");
  ASSERT_EQ(folder.checkpoints().size(), 1U);
  ASSERT_EQ(run_gang(folder, 2), 0) << folder.log(2);
  EXPECT_EQ(folder.events(2)[1], "resumed");
  EXPECT_EQ(folder.metric_steps(2), counted_to(200));
  EXPECT_EQ(folder.final_sums(), undisturbed_sums(2, 200));
}

TEST(Gang, SavesAndStopsWhenTheStopFileAppears) {
  const TaskFolder folder(3, {{"steps", 100000}, {"step_seconds", 0.01}});
  Gang gang(folder, 1);
  ASSERT_TRUE(becomes_true([&] { return folder.events(1).size() >= 2; }));
  std::ofstream(folder.attempt(1).stop_request()) << "stop\n";
  EXPECT_EQ(gang.wait(), static_cast<int>(ExitCode::stopped)) << folder.log(1);
  EXPECT_EQ(folder.checkpoints().size(), 1U);
}

TEST(Gang, SavesBeforeItsDeadline) {
  const TaskFolder folder(2, {{"steps", 100000}, {"step_seconds", 0.05}});
  const auto deadline = std::to_string(std::time(nullptr) + 13);
  EXPECT_EQ(run_gang(folder, 1, {{"MUSTER_DEADLINE", deadline}}), static_cast<int>(ExitCode::stopped))
      << folder.log(1);
  EXPECT_LT(std::time(nullptr), std::stol(deadline));
  EXPECT_EQ(folder.checkpoints().size(), 1U);
}

TEST(Gang, EndsWithTheCauseWhicheverRankThrows) {
  const std::map<std::string, ExitCode> deeds = {{"data_error", ExitCode::data},
                                                 {"pending_data_error", ExitCode::data},
                                                 {"diverged", ExitCode::diverged},
                                                 {"bad_alloc", ExitCode::resources},
                                                 {"number", ExitCode::internal}};
  for (const auto& [deed, code] : deeds)
    for (const int rank : {0, 2}) {
      const TaskFolder folder(3, {{"steps", 1000000}, {"deed", deed}, {"deed_rank", rank}});
      Gang gang(folder, 1);
      EXPECT_EQ(gang.wait(std::chrono::seconds(5)), static_cast<int>(code)) << deed << "\n" << folder.log(1);
      const std::string record = read_text(folder.attempt(1).failure(rank));
      EXPECT_TRUE(contains(record, "\"rank\": " + std::to_string(rank))) << record;
      EXPECT_TRUE(contains(record, "\"code\": " + std::to_string(static_cast<int>(code)))) << record;
    }
}

TEST(Gang, EndsWhenARankIsKilled) {
  for (const int rank : {0, 1}) {
    const TaskFolder folder(2, {{"steps", 1000000}, {"deed", "killed"}, {"deed_rank", rank}});
    Gang gang(folder, 1);
    EXPECT_EQ(gang.wait(std::chrono::seconds(5)), 128 + SIGKILL) << folder.log(1);
  }
}

TEST(Gang, EndsWhenItsMpirunIsKilled) {
  const TaskFolder folder(2, {{"steps", 1000000}, {"step_seconds", 0.01}});
  Gang gang(folder, 1);
  ASSERT_TRUE(becomes_true([&] { return folder.events(1).size() >= 2; }));
  const std::vector<ProcessIdentity> ranks = gang.ranks();
  ASSERT_EQ(ranks.size(), 2U);
  kill(gang.pid(), SIGKILL);
  EXPECT_EQ(gang.wait(), 128 + SIGKILL);
  for (const ProcessIdentity& rank : ranks)
    EXPECT_TRUE(becomes_true([&] { return liveness(rank) == Liveness::dead; }));
}

TEST(Gang, CarriesTheRowsOfAKilledAttemptUpToItsCheckpoint) {
  TaskFolder folder(
      2, {{"steps", 60}, {"step_seconds", 0.005}, {"deed", "killed"}, {"deed_rank", 1}, {"deed_step", 47}});
  folder.task.policy.checkpoint_steps = 20;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1), 128 + SIGKILL) << folder.log(1);
  folder.task.parameters["deed"] = "";
  folder.write();
  ASSERT_EQ(run_gang(folder, 2), 0) << folder.log(2);
  EXPECT_TRUE(contains(folder.log(2), "goes on at step 40")) << folder.log(2);
  EXPECT_EQ(folder.metric_steps(2), counted_to(60));
  EXPECT_EQ(folder.final_sums(), undisturbed_sums(2, 60));
}

TEST(Gang, PublishesNothingOnceALaterAttemptHasItsClaim) {
  const TaskFolder folder(2, {{"steps", 100000}, {"step_seconds", 0.01}});
  Gang gang(folder, 1);
  ASSERT_TRUE(becomes_true([&] { return folder.events(1).size() >= 2; }));
  create_exclusively(folder.paths().claim(2), "{}");
  EXPECT_EQ(gang.wait(), static_cast<int>(ExitCode::busy)) << folder.log(1);
  EXPECT_TRUE(folder.checkpoints().empty());
}

TEST(Gang, RefusesAnotherNumberOfRanksThanItsCheckpoint) {
  TaskFolder folder(2, {{"steps", 20}});
  folder.task.policy.checkpoint_steps = 10;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1), 0);
  folder.task.resources.ranks = 3;
  folder.write();
  EXPECT_EQ(run_gang(folder, 2), static_cast<int>(ExitCode::checkpoint));
  EXPECT_TRUE(contains(folder.log(2), "written by 2 ranks and this gang has 3")) << folder.log(2);
}

TEST(Gang, NamesWhatIsWrongWithAPlugin) {
  const std::map<std::string, std::string> problems = {{"wrong_abi", "was built for ABI"},
                                                       {"no_plugin", "is no muster workload"},
                                                       {"needs_absent_library", "libmuster_absent.so"},
                                                       {"nowhere", "there is no such file"}};
  for (const auto& [plugin, problem] : problems) {
    const TaskFolder folder(2, {}, plugin);
    EXPECT_EQ(run_gang(folder, 1), static_cast<int>(ExitCode::workload));
    EXPECT_TRUE(contains(folder.log(1), problem)) << folder.log(1);
    EXPECT_TRUE(contains(folder.log(1), plugin + ".so")) << folder.log(1);
  }
}

TEST(Gang, BindsEachRankToItsCpus) {
  TaskFolder folder(2, {{"steps", 1000000}, {"step_seconds", 0.01}});
  folder.task.resources.oversubscribe = true;
  folder.write();
  const Gang gang(folder, 1, {{"MUSTER_CPUS", "0;0"}});
  ASSERT_TRUE(becomes_true([&] { return folder.events(1).size() >= 2; }));
  ASSERT_EQ(gang.ranks().size(), 2U);
  for (const ProcessIdentity& rank : gang.ranks())
    for (const auto& thread :
         std::filesystem::directory_iterator("/proc/" + std::to_string(rank.pid) + "/task"))
      EXPECT_TRUE(contains(read_text(thread.path() / "status"), "Cpus_allowed_list:\t0\n"));
}

TEST(Gang, RefusesToShareCpusThatItWasToHaveApart) {
  const TaskFolder folder(2, {{"steps", 20}});
  EXPECT_EQ(run_gang(folder, 1, {{"MUSTER_CPUS", "0;0"}}), static_cast<int>(ExitCode::resources))
      << folder.log(1);
  EXPECT_TRUE(contains(folder.log(1), "have the same CPUs: 0")) << folder.log(1);
  const std::string report = read_text(folder.attempt(1).binding());
  EXPECT_TRUE(contains(report, "\"refused\": \"ranks 0 and 1 on ")) << report;
  EXPECT_TRUE(contains(report, "\"rank\": 1,")) << report;
  EXPECT_TRUE(folder.events(1).empty()) << "no rank may have started";
}

TEST(Gang, KeepsAReportOfWhatItComputesOn) {
  TaskFolder folder(2);
  folder.task.resources.gpus_per_rank = 1;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1, fake_gpus("5", "3,0")), 0) << folder.log(1);
  const std::string report = read_text(folder.attempt(1).binding());
  for (const char* part : {"\"refused\": null", "\"name\": \"3\"", "\"uuid\": \"GPU-fake-4\"",
                           "\"uuid\": \"GPU-fake-0\"", "\"gpus_on_host\": 4"})
    EXPECT_TRUE(contains(report, part)) << part << "\n" << report;
  EXPECT_TRUE(contains(folder.log(1), "binding: 2 ranks on 1 host, ")) << folder.log(1);
  // GPUs that only NVML shows: no rank can connect them, and all go on.
  EXPECT_TRUE(contains(folder.log(1), "GPUs exchange through host memory, which is slower: "))
      << folder.log(1);
  EXPECT_TRUE(contains(folder.log(1), "counting on GPUs of their own")) << folder.log(1);
}

TEST(Gang, ComputesOnCpusWhereDeclaredGpusAreNotThere) {
  TaskFolder folder(2);
  folder.task.resources.gpus_per_rank = 1;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1, fake_gpus("0", "0,1")), 0) << folder.log(1);
  EXPECT_TRUE(contains(folder.log(1), "no driver shows the GPUs that were declared: computing on CPUs"))
      << folder.log(1);
  EXPECT_FALSE(contains(folder.log(1), "counting on GPUs")) << folder.log(1);
}

TEST(Gang, RefusesTwoRanksOnOneGpuAndOneThatIsMissing) {
  const std::map<std::string, std::string> problems = {{"0,GPU-fake-0", "have the same GPU 0 (Fake GPU 0"},
                                                       {"0,7", "was given GPU 7, which is not among the 2"}};
  for (const auto& [devices, problem] : problems) {
    TaskFolder folder(2);
    folder.task.resources.gpus_per_rank = 1;
    folder.write();
    EXPECT_EQ(run_gang(folder, 1, fake_gpus("2", devices)), static_cast<int>(ExitCode::resources))
        << folder.log(1);
    EXPECT_TRUE(contains(folder.log(1), problem)) << folder.log(1);
  }
}

TEST(Gang, SharesAGpuAsItWasAskedForAndNoMore) {
  TaskFolder folder(3);
  folder.task.resources.gpus_per_rank = 1;
  folder.task.resources.ranks_per_gpu = 2;
  folder.task.resources.gpu_sharing = GpuSharing::time_slicing;
  folder.write();
  auto environment = fake_gpus("2", "0,1", {{"MUSTER_GPUS", "1;0;1"}});
  ASSERT_EQ(run_gang(folder, 1, environment), 0) << folder.log(1);
  EXPECT_TRUE(contains(folder.log(1), ", 2 GPUs for up to 2 ranks each (time-slicing)")) << folder.log(1);
  EXPECT_TRUE(contains(read_text(folder.attempt(1).binding()), "\"gpu_sharing\": \"time-slicing\""));
  environment["MUSTER_GPUS"] = "1;GPU-fake-1;1";
  EXPECT_EQ(run_gang(folder, 2, environment), static_cast<int>(ExitCode::resources)) << folder.log(2);
  EXPECT_TRUE(contains(folder.log(2), "which at most 2 may share")) << folder.log(2);
}

TEST(Gang, SlicesOfOneGpuAreNoCollision) {
  TaskFolder folder(2);
  folder.task.resources.gpus_per_rank = 1;
  folder.write();
  auto environment = fake_gpus("2", "MIG-fake-0,MIG-fake-1", {{"FAKE_NVML_SLICES", "2"}});
  ASSERT_EQ(run_gang(folder, 1, environment), 0) << folder.log(1);
  const std::string report = read_text(folder.attempt(1).binding());
  for (const char* part : {"\"uuid\": \"MIG-fake-0\"", "\"uuid\": \"MIG-fake-1\"",
                           "\"pci\": \"0000:18:00.0\"", "\"gpus_on_host\": 3"})
    EXPECT_TRUE(contains(report, part)) << part << "\n" << report;
  environment["CUDA_VISIBLE_DEVICES"] = "MIG-fake-1,MIG-fake-1";
  EXPECT_EQ(run_gang(folder, 2, environment), static_cast<int>(ExitCode::resources));
  EXPECT_TRUE(contains(folder.log(2), "have the same GPU MIG-fake-1 (Fake GPU 1, MIG-fake-1, "))
      << folder.log(2);
}

TEST(Gang, RefusesMpsWithoutItsDaemon) {
  TaskFolder folder(2);
  folder.task.resources.gpus_per_rank = 1;
  folder.task.resources.ranks_per_gpu = 2;
  folder.task.resources.gpu_sharing = GpuSharing::mps;
  folder.write();
  const std::string pipes = folder.paths().folder().string();
  EXPECT_EQ(run_gang(folder, 1, {{"CUDA_VISIBLE_DEVICES", "0"}, {"CUDA_MPS_PIPE_DIRECTORY", pipes}}),
            static_cast<int>(ExitCode::resources));
  EXPECT_TRUE(contains(folder.log(1), "no MPS daemon runs here")) << folder.log(1);
}

/// Rows of a table, without `attempt` and `unix_time`, of one rank's GPU.
std::vector<std::vector<double>> rows_of_rank(const TaskFolder& folder, int attempt, const std::string& table,
                                              int rank) {
  const MetricReader reader(folder.attempt(attempt).metrics_h5());
  std::vector<std::vector<double>> rows;
  for (const MetricRow& row : reader.read(table, 0, reader.rows(table))) {
    if (std::get<std::int64_t>(row.at(2)) != rank) continue;
    auto& values = rows.emplace_back();
    for (std::size_t i = 3; i < row.size(); ++i)
      values.push_back(std::visit([](auto number) { return static_cast<double>(number); }, row[i]));
  }
  return rows;
}

TEST(Gang, WritesWhatItsGpusTell) {
  TaskFolder folder(2, {{"steps", 26}, {"step_seconds", 0.05}});
  folder.task.resources.gpus_per_rank = 1;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1, fake_gpus("2", "0,1", {{"FAKE_NVML_ENERGY", "2000"}})), 0) << folder.log(1);
  const auto first = rows_of_rank(folder, 1, "gpu", 0);
  ASSERT_GE(first.size(), 3U) << "one at the start, one a second later, one at the end";
  for (std::size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i][2], 24) << "memory";
    EXPECT_EQ(first[i][3], 0.87) << "utilisation";
    EXPECT_EQ(first[i][4], 412.5) << "power";
    EXPECT_EQ(first[i][5], 2.0 * static_cast<double>(i)) << "energy since the first reading";
  }
  EXPECT_EQ(rows_of_rank(folder, 1, "gpu", 1).size(), first.size());
  const auto total = rows_of_rank(folder, 1, "gpu_total", 0);
  ASSERT_EQ(total.size(), 1U);
  EXPECT_EQ(total[0][1], first.back()[1]) << "seconds";
  EXPECT_EQ(total[0][2], 24) << "memory peak";
  EXPECT_EQ(total[0][3], first.back()[5]) << "energy";
  EXPECT_TRUE(std::isnan(rows_of_rank(folder, 1, "gpu_total", 1).at(0).at(3))) << "GPU 1 does not tell";
}

TEST(Gang, CarriesGpuRowsToWhereThereIsNoGpu) {
  TaskFolder folder(1, {{"steps", 40}, {"deed", "killed"}, {"deed_step", 25}, {"step_seconds", 0.01}});
  folder.task.resources.gpus_per_rank = 1;
  folder.task.policy.checkpoint_steps = 20;
  folder.write();
  auto environment = fake_gpus("1", "0");
  ASSERT_EQ(run_gang(folder, 1, environment), 128 + SIGKILL) << folder.log(1);
  folder.task.parameters["deed"] = "";
  folder.write();
  environment["FAKE_NVML_GPUS"] = "none";
  ASSERT_EQ(run_gang(folder, 2, environment), 0) << folder.log(2);
  EXPECT_EQ(folder.metric_steps(2), counted_to(40));
  EXPECT_GE(rows_of_rank(folder, 2, "gpu", 0).size(), 1U) << "the first reading of attempt 1";
}

TEST(Gang, RunsOnGpusThatAreOnlyDeclared) {
  TaskFolder folder(2);
  folder.task.resources.gpus_per_rank = 2;
  folder.write();
  ASSERT_EQ(run_gang(folder, 1, fake_gpus("none", "0,1,2,3")), 0) << folder.log(1);
  EXPECT_TRUE(contains(folder.log(1), ", 4 GPUs declared and not seen")) << folder.log(1);
  EXPECT_EQ(MetricReader(folder.attempt(1).metrics_h5()).tables().size(), 1U) << "the workload's alone";
  EXPECT_TRUE(contains(read_text(folder.attempt(1).binding()), "\"seen\": false"));
}

TEST(Gang, RefusesACpuThatItMayNotUse) {
  const TaskFolder folder(1);
  EXPECT_EQ(run_gang(folder, 1, {{"MUSTER_CPUS", "1000"}}), static_cast<int>(ExitCode::resources))
      << folder.log(1);
}

}  // namespace
}  // namespace muster
