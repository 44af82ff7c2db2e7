#include "launcher/submission_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/node_shape.hpp"
#include "launcher/submission_report.hpp"
#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using testing::error_of;
using ::testing::HasSubstr;

/// 8 nodes of 16 CPUs and 4 GPUs, and a partition without GPUs.
SiteRequest site() {
  SiteRequest site;
  site.capabilities.select_type = "select/cons_tres";
  site.capabilities.version = {22, 5, "22.05.8"};
  SlurmPartition gpu;
  gpu.name = "gpu";
  gpu.is_default = true;
  gpu.nodes = 8;
  gpu.cpus_per_node = 16;
  gpu.memory_per_node = 64000;
  gpu.gpus = {{"a100", 4, 8}};
  SlurmPartition cpu = gpu;
  cpu.name = "cpu";
  cpu.is_default = false;
  cpu.gpus.clear();
  cpu.default_seconds = 240;
  site.capabilities.partitions = {gpu, cpu};
  return site;
}

std::vector<WaitingTask> tasks(int number, const Resources& needs, int from = 0) {
  std::vector<WaitingTask> tasks;
  for (int task = from; task < from + number; ++task) tasks.push_back({task, "t", needs});
  return tasks;
}

SubmissionWish wish(std::optional<SubmissionKind> kind, int nodes = 0) { return {kind, nodes, std::nullopt}; }
constexpr auto kPack = SubmissionKind::pack;
constexpr auto kArray = SubmissionKind::array;

int cpus(const JobRequest& request) { return request.tasks_per_node * request.cpus_per_task; }

TEST(NodeShape, IsOfThePartitionThatIsAskedFor) {
  SiteRequest here = site();
  EXPECT_EQ(shape_of(here.capabilities, here.options), (NodeShape{"gpu", 8, 16, 4}));
  here.options.partition = "nowhere,cpu";
  EXPECT_EQ(shape_of(here.capabilities, here.options), (NodeShape{"cpu", 8, 16, 0}));
  here.options.partition = "nowhere";
  EXPECT_EQ(shape_of(here.capabilities, here.options), std::nullopt);
  here.options = {};
  here.options.gpu_type = "h100";
  EXPECT_EQ(shape_of(here.capabilities, here.options)->gpus, 0);
  here.capabilities.partitions[0].max_nodes = 2;
  EXPECT_EQ(shape_of(here.capabilities, here.options)->nodes, 2);
}

TEST(TaskLayout, TakesAsFewNodesAsHoldTheRanks) {
  const NodeShape node{"gpu", 8, 16, 4};
  EXPECT_EQ(lay_out({1, 2, 1}, node), (TaskLayout{1, 1, 2, 1}));
  EXPECT_EQ(lay_out({4, 4, 1}, node), (TaskLayout{1, 4, 16, 4}));
  EXPECT_EQ(lay_out({5, 4, 1}, node), (TaskLayout{5, 1, 4, 1})) << "2 nodes would share 5 ranks unevenly";
  EXPECT_EQ(lay_out({11, 4, 1}, node), std::nullopt);
  EXPECT_EQ(lay_out({8, 1, 1}, node), (TaskLayout{2, 4, 4, 4}));
  EXPECT_EQ(lay_out({32, 16, 0}, node), std::nullopt);
  EXPECT_EQ(lay_out({1, 17, 0}, node), std::nullopt);
  EXPECT_EQ(lay_out({1, 1, 5}, node), std::nullopt);
  EXPECT_EQ(lay_out({100, 1, 0, true}, node), (TaskLayout{1, 100, 16, 0}));
}

Resources halves(int ranks) {
  Resources needs{ranks, 1, 1};
  needs.ranks_per_gpu = 2;
  needs.gpu_sharing = GpuSharing::time_slicing;
  return needs;
}

TEST(NodeShape, RanksThatShareGpusFillThemOnEachNode) {
  const NodeShape node{"gpu", 8, 16, 4};
  EXPECT_EQ(lay_out(halves(6), node), (TaskLayout{1, 6, 6, 3}));
  EXPECT_EQ(lay_out(halves(16), node), (TaskLayout{2, 8, 8, 4}));
  EXPECT_EQ(lay_out(halves(12), node), (TaskLayout{2, 6, 6, 3}));
  EXPECT_EQ(lay_out(halves(10), node), (TaskLayout{5, 2, 2, 1}))
      << "halved, a node would have 2 and a half GPUs";
}

TEST(SubmissionPlan, APartOfAGpuIsRefused) {
  EXPECT_THAT(error_of(ExitCode::config, [] { plan_submissions(tasks(2, halves(1)), wish(kPack), site()); }),
              HasSubstr("task-0 shares a GPU with other tasks (1 rank with 0.5 GPUs each)"));
  const auto plan = plan_submissions(tasks(1, halves(4)), {}, site());
  EXPECT_EQ(plan.submissions.at(0).request.gpus_per_node, 2);
}

TEST(SubmissionPlan, TasksThatFitOneNodeAtOnceAreOneJobOfWhatTheyUse) {
  const SubmissionPlan plan = plan_submissions(tasks(4, {1, 2, 1}), {}, site());
  ASSERT_EQ(plan.submissions.size(), 1U);
  const PlannedSubmission& job = plan.submissions[0];
  EXPECT_EQ(job.kind, kPack);
  EXPECT_EQ(job.tasks, (std::vector<int>{0, 1, 2, 3}));
  EXPECT_EQ(job.request.nodes, 1);
  EXPECT_EQ(job.request.tasks_per_node, 4);
  EXPECT_EQ(job.request.cpus_per_task, 2);
  EXPECT_EQ(job.request.gpus_per_node, 4);
  EXPECT_EQ(job.request.array, "");
  EXPECT_EQ(plan.why, "one job: all 4 tasks run at once on one node");
}

TEST(SubmissionPlan, ManyTasksOnGivenNodesTakeNoMoreThanTheyCanUseThere) {
  const SubmissionPlan plan = plan_submissions(tasks(16, {1, 2, 1}), wish(kPack, 2), site());
  const JobRequest& request = plan.submissions.at(0).request;
  EXPECT_EQ(request.nodes, 2);
  EXPECT_EQ(request.gpus_per_node, 4);
  EXPECT_EQ(cpus(request), 8);
}

TEST(SubmissionPlan, NodesUnderSlurmMakeOneJobOfThem) {
  SiteRequest here = site();
  here.options.nodes = 3;
  const SubmissionPlan plan = plan_submissions(tasks(40, {1, 1, 1}), {}, here);
  EXPECT_EQ(plan.submissions.at(0).kind, kPack);
  EXPECT_EQ(plan.submissions.at(0).request.nodes, 3);
}

TEST(SubmissionPlan, ATaskLargerThanANodeGetsSeveral) {
  const SubmissionPlan plan = plan_submissions(tasks(1, {8, 2, 1}), {}, site());
  const JobRequest& request = plan.submissions.at(0).request;
  EXPECT_EQ(request.nodes, 2);
  EXPECT_EQ(request.tasks_per_node, 4);
  EXPECT_EQ(request.cpus_per_task, 2);
  EXPECT_EQ(request.gpus_per_node, 4);
}

TEST(SubmissionPlan, ATaskWithoutRoomIsRefusedAtThePartitionsPlace) {
  SiteRequest here = site();
  here.places["slurm.partition"] = SourcePlace{"x.toml", 7, 1};
  const std::string text = error_of(ExitCode::resources, [&] {
    plan_submissions(tasks(1, {1, 1, 5}), {}, here);
  });
  EXPECT_EQ(
      text,
      "x.toml:7:1: task-0 (t) has no room in partition 'gpu': 1 rank with 1 CPU and 5 GPUs each, but one "
      "job may have 8 nodes of 16 CPUs and 4 GPUs, with the same number of ranks on each; ask for less, or "
      "choose another partition under [slurm]");
}

TEST(SubmissionPlan, FewerNodesThanTheLargestTaskNeedsAreRefused) {
  const std::string text = error_of(ExitCode::resources, [&] {
    plan_submissions(tasks(1, {8, 2, 1}), wish(kPack, 1), site());
  });
  EXPECT_THAT(text, HasSubstr("1 node cannot hold the largest task, which needs 2 nodes"));
}

TEST(SubmissionPlan, MoreNodesThanThereAreAreRefused) {
  error_of(ExitCode::resources, [&] { plan_submissions(tasks(40, {1, 1, 0}), wish(kPack, 9), site()); });
}

TEST(SubmissionPlan, AnUnknownPartitionIsRefused) {
  SiteRequest here = site();
  here.options.partition = "gup";
  const std::string text = error_of(ExitCode::config, [&] { plan_submissions(tasks(1, {}), {}, here); });
  EXPECT_THAT(text, HasSubstr("did you mean 'gpu'?"));
}

TEST(SubmissionPlan, LongTasksThatDoNotFitANodeAreAJobEach) {
  SubmissionWish known;
  known.task_seconds = 7200;
  const SubmissionPlan plan = plan_submissions(tasks(100, {2, 2, 1}), known, site());
  ASSERT_EQ(plan.submissions.size(), 1U);
  const PlannedSubmission& array = plan.submissions[0];
  EXPECT_EQ(array.kind, kArray);
  EXPECT_EQ(array.request.array, "0-99");
  EXPECT_EQ(array.request.nodes, 1);
  EXPECT_EQ(array.request.tasks_per_node, 2);
  EXPECT_EQ(array.request.cpus_per_task, 2);
  EXPECT_EQ(array.request.gpus_per_node, 2);
  EXPECT_THAT(plan.why, HasSubstr("a job a task: a task takes 2.0 h"));
}

TEST(SubmissionPlan, ShortTasksAreOneJob) {
  SubmissionWish known;
  known.task_seconds = 12;
  const SubmissionPlan plan = plan_submissions(tasks(100, {2, 2, 1}), known, site());
  EXPECT_EQ(plan.submissions.at(0).kind, kPack);
  EXPECT_THAT(plan.why, HasSubstr("a task takes 12 s"));
}

TEST(SubmissionPlan, TasksOfUnknownLengthThatDoNotFitANodeAreAJobEach) {
  EXPECT_EQ(plan_submissions(tasks(100, {2, 2, 1}), {}, site()).submissions.at(0).kind, kArray);
}

TEST(SubmissionPlan, WhereStepsCannotShareAJobEachTaskHasOne) {
  SiteRequest here = site();
  here.capabilities.select_type = "select/linear";
  EXPECT_EQ(plan_submissions(tasks(4, {1, 2, 1}), {}, here).submissions.at(0).kind, kArray);
}

TEST(SubmissionPlan, MoreJobsThanSlurmHoldsAreOne) {
  SiteRequest here = site();
  here.capabilities.max_job_count = 50;
  EXPECT_EQ(plan_submissions(tasks(100, {1, 1, 1}), {}, here).submissions.at(0).kind, kPack);
}

TEST(SubmissionPlan, EachClassOfResourcesIsAnArrayOfItsOwn) {
  std::vector<WaitingTask> mixed = tasks(2, {1, 1, 0});
  const auto large = tasks(2, {4, 2, 1}, 2);
  mixed.insert(mixed.end(), large.begin(), large.end());
  mixed.push_back({9, "t", {1, 1, 0}});
  const SubmissionPlan plan = plan_submissions(mixed, wish(kArray), site());
  ASSERT_EQ(plan.submissions.size(), 2U);
  EXPECT_EQ(plan.submissions[0].request.array, "0-1,9");
  EXPECT_EQ(plan.submissions[0].request.gpus_per_node, 0);
  EXPECT_EQ(plan.submissions[1].request.array, "2-3");
  EXPECT_EQ(plan.submissions[1].request.gpus_per_node, 4);
}

TEST(SubmissionPlan, AnArrayEndsWhereSlurmsIndicesDo) {
  SiteRequest here = site();
  here.capabilities.max_array_size = 1001;
  const SubmissionPlan plan = plan_submissions(tasks(2500, {}), wish(kArray), here);
  ASSERT_EQ(plan.submissions.size(), 3U);
  EXPECT_EQ(plan.submissions[0].request.array, "0-1000");
  EXPECT_EQ(plan.submissions[1].request.array, "0-1000");
  EXPECT_EQ(plan.submissions[1].first, 1001);
  EXPECT_EQ(plan.submissions[1].tasks.front(), 1001);
  EXPECT_EQ(plan.submissions[2].request.array, "0-497");
  EXPECT_EQ(plan.submissions[2].first, 2002);
}

/// Two stages: tasks 0 to 3, and tasks 4 and 5, each of which needs two of those.
std::vector<WaitingTask> two_stages() {
  std::vector<WaitingTask> both = tasks(4, {1, 2, 1});
  for (WaitingTask& task : both) task.stage = "experts";
  both.push_back({4, "t", {1, 2, 1}, "fusion", {0, 1}});
  both.push_back({5, "t", {1, 2, 1}, "fusion", {2, 3}});
  return both;
}

TEST(SubmissionPlan, AnArrayWaitsForTheTasksThatItsOwnNeedAndNoOthers) {
  const SubmissionPlan plan = plan_submissions(two_stages(), wish(kArray), site());
  ASSERT_EQ(plan.submissions.size(), 3U);
  EXPECT_EQ(plan.submissions[0].request.array, "0-3");
  EXPECT_TRUE(plan.submissions[0].waits_for.empty());
  EXPECT_EQ(plan.submissions[1].tasks, (std::vector<int>{4}));
  EXPECT_EQ(plan.submissions[1].waits_for, (std::vector<int>{0, 1}));
  EXPECT_EQ(jobs_to_wait_for(plan.submissions[1], plan.submissions, {"17"}),
            (std::vector<std::string>{"17_0", "17_1"}));
  EXPECT_EQ(jobs_to_wait_for(plan.submissions[2], plan.submissions, {"17", "18"}),
            (std::vector<std::string>{"17_2", "17_3"}));
}

TEST(SubmissionPlan, AWholeArrayThatIsNeededIsNamedOnce) {
  std::vector<WaitingTask> both = two_stages();
  both[4].waits_for = both[5].waits_for = {0, 1, 2, 3};
  SiteRequest here = site();
  here.capabilities.max_array_size = 3;
  const SubmissionPlan plan = plan_submissions(both, wish(kArray), here);
  ASSERT_EQ(plan.submissions.size(), 3U);
  EXPECT_EQ(plan.submissions[2].request.array, "1-2");
  EXPECT_EQ(jobs_to_wait_for(plan.submissions[2], plan.submissions, {"17", "18"}),
            (std::vector<std::string>{"17", "18"}));
  both[4].waits_for = both[5].waits_for = {2, 3};
  EXPECT_EQ(jobs_to_wait_for(plan_submissions(both, wish(kArray), here).submissions[2], plan.submissions,
                             {"17", "18"}),
            (std::vector<std::string>{"17_2", "18"}));
}

TEST(SubmissionPlan, AStageThatWaitsForTooManySetsOfTasksWaitsForAll) {
  std::vector<WaitingTask> many = tasks(40, {1, 1, 0});
  for (int number = 40; number < 80; ++number)
    many.push_back({number, "t", {1, 1, 0}, "next", {number - 40}});
  const SubmissionPlan plan = plan_submissions(many, wish(kArray), site());
  ASSERT_EQ(plan.submissions.size(), 2U);
  EXPECT_EQ(jobs_to_wait_for(plan.submissions[1], plan.submissions, {"17"}),
            (std::vector<std::string>{"17"}));
}

TEST(SubmissionPlan, OneJobIsAsLargeAsItsLargestStage) {
  std::vector<WaitingTask> both = two_stages();
  const SubmissionPlan plan = plan_submissions(both, {}, site());
  ASSERT_EQ(plan.submissions.size(), 1U);
  EXPECT_EQ(plan.submissions[0].request.gpus_per_node, 4);
  EXPECT_EQ(cpus(plan.submissions[0].request), 8);
  EXPECT_EQ(plan.why, "one job: all 6 tasks run, stage by stage, at once on one node");
}

TEST(SubmissionPlan, WhatIsMeasuredHasNobodyBesideIt) {
  const Resources alone{1, 1, 0, false, true};
  EXPECT_TRUE(plan_submissions(tasks(2, alone), {}, site())
                  .submissions.at(0)
                  .request.options.sbatch.contains("exclusive"));
  EXPECT_FALSE(plan_submissions(tasks(2, {}), {}, site())
                   .submissions.at(0)
                   .request.options.sbatch.contains("exclusive"));
}

TEST(SubmissionPlan, InAShortJobTheSignalComesLater) {
  SiteRequest here = site();
  EXPECT_EQ(plan_submissions(tasks(1, {}), {}, here).submissions[0].request.signal_seconds, 120);
  here.options.partition = "cpu";
  EXPECT_EQ(plan_submissions(tasks(1, {}), {}, here).submissions[0].request.signal_seconds, 60);
  here.options.time = "2";
  EXPECT_EQ(plan_submissions(tasks(1, {}), {}, here).submissions[0].request.signal_seconds, 30);
}

TEST(SubmissionPlan, FourThousandTasksOnAThousandNodesArePlannedAtOnce) {
  SiteRequest here = site();
  here.capabilities.partitions[0].nodes = 1000;
  const SubmissionPlan plan = plan_submissions(tasks(4000, {1, 4, 1}), wish(kPack, 1000), here);
  EXPECT_EQ(plan.submissions.at(0).request.gpus_per_node, 4);
  EXPECT_EQ(cpus(plan.submissions[0].request), 16);
}

TEST(IndexRanges, AreAsSbatchTakesThem) {
  EXPECT_EQ(index_ranges({0, 1, 2, 3, 7}), "0-3,7");
  EXPECT_EQ(index_ranges({5}), "5");
  EXPECT_EQ(index_ranges({1, 3}), "1,3");
}

TEST(SubmissionReport, SaysWhatWasAskedForAndHowToGoOn) {
  SubmissionReport report;
  report.run = "/runs/x/1";
  report.tasks = 5;
  report.done = 1;
  report.partition = "gpu";
  report.why = "one job: as asked for";
  Submission submission;
  submission.number = 1;
  submission.tasks = {1, 2, 3, 4};
  submission.job = "17";
  submission.request.nodes = 2;
  submission.request.tasks_per_node = 4;
  submission.request.cpus_per_task = 2;
  submission.request.gpus_per_node = 4;
  submission.request.options.time = "1:00:00";
  report.submissions = {submission};
  EXPECT_EQ(
      report_text(report),
      "/runs/x/1: 5 tasks, 1 done\none job: as asked for\njob 17: 4 tasks on 2 nodes with 8 CPUs and 4 GPUs "
      "each, up to 1:00:00, partition gpu\nwatch it with 'muster watch /runs/x/1'; 'muster cancel /runs/x/1' "
      "ends it\n");
  EXPECT_EQ(report_ids(report), "17\n");
  EXPECT_THAT(report_json(report), HasSubstr("\"job\": \"17\""));
}

TEST(DryRun, ShowsLineScriptAndStepWithEveryValueQuoted) {
  JobRequest request;
  request.name = "x";
  request.options.sbatch["licenses"] = "a b";
  request.command = {"/opt/muster", "continue", "/runs/with space"};
  const std::string text = dry_run_text(site().capabilities, request, {{1, 2, 1}}, {"gpu", 8, 16, 4});
  EXPECT_THAT(text, HasSubstr(" --licenses='a b'"));
  EXPECT_THAT(text, HasSubstr("exec /opt/muster continue '/runs/with space'\n"));
  EXPECT_THAT(text, HasSubstr("srun --exact "));
  EXPECT_THAT(text, HasSubstr(" --cpus-per-task=2 "));
}

}  // namespace
}  // namespace muster
