#include "launcher/explanation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "launcher/job_watch.hpp"
#include "tests/launcher/fake_batch_system.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::FakeBatchSystem;
using ::testing::HasSubstr;
using testing::job_status;
using testing::TemporaryFolder;

/// A run with one job of tasks 0 and 1, in `state`.
RunJobs jobs_with(const std::string& state, const std::string& reason = "",
                  SubmissionKind kind = SubmissionKind::pack) {
  Submission submission;
  submission.kind = kind;
  submission.number = 1;
  submission.tasks = {0, 1};
  submission.job = "17";
  submission.request.nodes = 1;
  submission.request.cpus_per_task = 8;
  submission.request.gpus_per_node = 4;
  submission.request.options.gpu_type = "a100";
  JobStatus status = job_status("17", state, "", kind == SubmissionKind::array ? "0-1" : "");
  status.reason = reason;
  if (state != "PENDING") status.nodes = "n2";
  RunJobs jobs;
  jobs.jobs.push_back({submission, {status}});
  return jobs;
}

TaskStatus task(const std::string& state, const RunJobs& jobs, const std::string& detail = "") {
  TaskStatus task;
  task.listed = {0, "id", "t", "t-id"};
  task.state = state;
  task.detail = detail;
  if (const RunJob* job = jobs.job_of(0)) {
    task.job = "17";
    if (const JobStatus* part = job->of_task(0)) task.job_status = *part;
  }
  return task;
}

const AheadOf kTwelve = [](const JobStatus&) { return std::optional(12); };
const AheadOf kUnknown = [](const JobStatus&) { return std::optional<int>(); };

std::string why(const std::string& state, const RunJobs& jobs, const std::string& detail = "",
                int running = 0, bool driven = false) {
  return explain(task(state, jobs, detail), jobs, running, driven, kUnknown).why;
}

TEST(Explanation, AWaitingTaskSaysForWhatAndBehindHowMany) {
  const RunJobs jobs = jobs_with("PENDING", "Resources");
  EXPECT_EQ(explain(task("pending", jobs), jobs, 0, false, kTwelve).why,
            "waits: job 17 waits for 1 node with 8 CPUs and 4 GPUs of gpu:a100; 12 jobs ahead");
  EXPECT_EQ(why("pending", jobs), "waits: job 17 waits for 1 node with 8 CPUs and 4 GPUs of gpu:a100");
}

TEST(Explanation, ADependencyThatFailedIsNamedWithWhatToDo) {
  const RunJobs jobs = jobs_with("PENDING", "DependencyNeverSatisfied");
  const Explanation explanation = explain(task("pending", jobs), jobs, 0, false, kUnknown);
  EXPECT_EQ(explanation.why, "waits: job 17 never starts: a job that it depends on did not end well");
  EXPECT_THAT(explanation.advice, HasSubstr("muster cancel"));
}

TEST(Explanation, ATaskInARunningJobWaitsForRoomThere) {
  EXPECT_EQ(why("pending", jobs_with("RUNNING"), "", 3),
            "waits for room in job 17, where 3 tasks are at work");
  EXPECT_EQ(why("pending", jobs_with("RUNNING", "", SubmissionKind::array)),
            "is about to begin: its job runs on n2");
}

TEST(Explanation, EachEndOfAJobIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"TIMEOUT", "was not begun: job 17 ran into its time limit"},
      {"NODE_FAIL", "was not begun: job 17 a node failed (of n2)"},
      {"OUT_OF_MEMORY", "was not begun: job 17 ran out of memory"},
      {"PREEMPTED", "was not begun: job 17 gave way to another job (preempted)"},
      {"CANCELLED by 1000", "was not begun: job 17 cancelled by user 1000"},
  };
  for (const auto& [state, words] : cases) EXPECT_EQ(why("pending", jobs_with(state)), words) << state;
}

TEST(Explanation, AfterAnEndThereIsAdviceThatFitsIt) {
  const auto advice = [](const std::string& state) {
    const RunJobs jobs = jobs_with(state);
    return explain(task("interrupted", jobs, "gone"), jobs, 0, false, kUnknown).advice;
  };
  EXPECT_THAT(advice("OUT_OF_MEMORY"), HasSubstr("mem under [slurm]"));
  EXPECT_THAT(advice("TIMEOUT"), HasSubstr("time under [slurm]"));
  EXPECT_THAT(advice("NODE_FAIL"), HasSubstr("exclude under [slurm]"));
}

TEST(Explanation, WithoutAnyJobItSaysHowToGoOn) {
  EXPECT_EQ(why("pending", {}), "was not begun: no job was asked for it, and no launcher drives the run");
  EXPECT_EQ(why("pending", {}, "", 2, true), "waits for room: 2 tasks of the run are at work");
}

TEST(Explanation, ATaskThatNeedsOthersNamesThem) {
  const auto explained = [](const RunJobs& jobs, bool driven) {
    TaskStatus waiting = task("pending", jobs);
    waiting.waits_for = {1, 2, 3, 7};
    return explain(waiting, jobs, 0, driven, kUnknown);
  };
  EXPECT_EQ(explained({}, true).why, "waits for task-1 to task-3, task-7");
  EXPECT_EQ(explained(jobs_with("RUNNING"), false).why, "waits for task-1 to task-3, task-7");
  EXPECT_EQ(explained({}, false).why, "waits for task-1 to task-3, task-7, and nothing drives the run");
  EXPECT_EQ(explained(jobs_with("PENDING", "Dependency"), false).why,
            "waits for task-1 to task-3, task-7: job 17 waits for a job that it depends on");
  EXPECT_THAT(explained(jobs_with("PENDING", "DependencyNeverSatisfied"), false).advice,
              HasSubstr("muster cancel"));
  const Explanation cancelled = explained(jobs_with("CANCELLED", "DependencyNeverSatisfied"), false);
  EXPECT_EQ(
      cancelled.why,
      "waits for task-1 to task-3, task-7; job 17 cancelled: a job that it depends on did not end well");
  EXPECT_THAT(cancelled.advice, HasSubstr("muster submit"));
}

TEST(Explanation, ABlockedTaskNamesWhatFailedAndWhatBecameOfItsJob) {
  const RunJobs jobs = jobs_with("CANCELLED", "DependencyNeverSatisfied");
  const Explanation explanation =
      explain(task("blocked", jobs, "needs task-1-a, which failed"), jobs, 0, false, kUnknown);
  EXPECT_EQ(explanation.why,
            "is blocked: it needs task-1-a, which failed; its job 17 cancelled: a job that it depends on did "
            "not end "
            "well");
  EXPECT_THAT(explanation.advice, HasSubstr("tries what failed again"));
}

TEST(Explanation, AnAnswerThatIsMissingIsSaid) {
  RunJobs jobs = jobs_with("PENDING");
  jobs.jobs[0].submission.job.reset();
  jobs.jobs[0].parts.clear();
  EXPECT_THAT(why("pending", jobs), HasSubstr("has not answered yet"));
}

TEST(Explanation, AStoppedTaskWhoseJobWaitsAgainSaysBoth) {
  EXPECT_EQ(why("stopped", jobs_with("PENDING", "BeginTime"), "saved and stopped"),
            "was stopped: saved and stopped; it waits: job 17 waits for its begin time");
}

TEST(Explanation, WhatItWaitsForIsSaidOnce) {
  EXPECT_EQ(why("stopped", jobs_with("PENDING", "BeginTime"), "waits for its begin time"),
            "was stopped; it waits: job 17 waits for its begin time");
}

TEST(Explanation, AFailureIsItsReason) {
  EXPECT_EQ(why("failed", jobs_with("COMPLETED"), "rank 0: the loss is NaN"),
            "failed: rank 0: the loss is NaN");
}

TEST(Explanation, OneThatWasPutBackIntoTheQueueSaysHowOften) {
  RunJobs jobs = jobs_with("RUNNING");
  jobs.jobs[0].parts[0].restarts = 2;
  EXPECT_EQ(words_of_job(jobs.jobs[0], jobs.jobs[0].parts[0], kUnknown),
            "runs on n2 (it was put back into the queue 2 times)");
}

TEST(Explanation, OneThatWasPutBackIntoTheQueueSaysWhyWhereSlurmWroteIt) {
  const TemporaryFolder folder;
  RunJobs jobs = jobs_with("PENDING", "BeginTime");
  RunJob& job = jobs.jobs[0];
  job.submission.request.output = folder.path() / "slurm-%j.out";
  std::ofstream(folder.path() / "slurm-17.out") << "[task-0] a line\nslurmstepd-n2: error: *** JOB 17 ON n2 "
                                                   "CANCELLED AT 2026-03-01T12:00:00 DUE TO PREEMPTION "
                                                   "***\n";
  job.parts[0].restarts = 1;
  EXPECT_EQ(words_of_job(job, job.parts[0], kUnknown),
            "waits for its begin time (it was put back into the queue 1 time; before that it gave way to "
            "another job "
            "(preempted))");
}

TEST(JobLines, CountAnArraysElements) {
  RunJobs jobs = jobs_with("PENDING", "Resources", SubmissionKind::array);
  jobs.jobs[0].parts = {job_status("17", "PENDING", "", "1"), job_status("17", "RUNNING", "", "0")};
  EXPECT_EQ(job_lines(jobs).at(0), "array 17 (2 tasks): 1 running, 1 waiting (waits)");
  jobs.jobs[0].parts = {job_status("17", "COMPLETED", "", "1"), job_status("17", "TIMEOUT", "", "0")};
  EXPECT_EQ(job_lines(jobs).at(0), "array 17 (2 tasks): 1 completed, 1 ran into its time limit");
}

TEST(JobLines, SaySoWhereSlurmIsSilent) {
  RunJobs jobs = jobs_with("RUNNING");
  jobs.silence = "no answer";
  EXPECT_EQ(job_lines(jobs).back(), "Slurm does not tell: no answer");
}

TEST(RunIsOver, OnceNothingOfItLives) {
  const std::vector<TaskStatus> pending = {task("pending", {})};
  EXPECT_TRUE(is_over(pending, {}, false));
  EXPECT_FALSE(is_over(pending, {}, true));
  EXPECT_FALSE(is_over(pending, jobs_with("PENDING"), false));
  EXPECT_TRUE(is_over(pending, jobs_with("CANCELLED"), false));
  EXPECT_FALSE(is_over({task("running", {})}, {}, false));
  EXPECT_TRUE(is_over({task("done", {})}, jobs_with("RUNNING"), false));
  RunJobs silent = jobs_with("CANCELLED");
  silent.silence = "no answer";
  EXPECT_FALSE(is_over(pending, silent, false));
}

class JobWatchTest : public ::testing::Test {
 protected:
  JobWatchTest() : run_(folder_ / "run"), mine_(open_submission(run_, SubmissionKind::pack, {0}, {}, "")) {
    answer_submission(run_, mine_, "10");
    auto system = std::make_unique<FakeBatchSystem>();
    system_ = system.get();
    system_->answer = {job_status("10", "RUNNING", mine_.token)};
    handed_over_ = std::move(system);
  }
  static ProcessIdentity in_job(const std::string& job, int restarts = 0) {
    return {"a-host-far-away", "boot", 1, 1, job, restarts};
  }

  TemporaryFolder folder_;
  RunPaths run_;
  Submission mine_;
  FakeBatchSystem* system_ = nullptr;
  std::unique_ptr<BatchSystem> handed_over_;
};

TEST_F(JobWatchTest, AsksOnceHoweverOftenSomebodyLooks) {
  JobWatch watch(run_, std::move(handed_over_));
  for (int look = 0; look < 100; ++look) watch.refresh();
  EXPECT_EQ(watch.liveness_of()(in_job("10")), Liveness::alive);
  EXPECT_EQ(system_->questions, 1);
}

TEST_F(JobWatchTest, AsksAgainWhenTheTimeIsOver) {
  JobWatch watch(run_, std::move(handed_over_), std::chrono::seconds(0));
  system_->answer[0].state = "COMPLETED";
  watch.refresh();
  EXPECT_EQ(system_->questions, 2);
  EXPECT_EQ(watch.liveness_of()(in_job("10")), Liveness::dead);
}

TEST_F(JobWatchTest, AProcessOfAnEarlierStartOfTheJobIsDead) {
  system_->answer[0].restarts = 1;
  JobWatch watch(run_, std::move(handed_over_));
  EXPECT_EQ(watch.liveness_of()(in_job("10", 0)), Liveness::dead);
  EXPECT_EQ(watch.liveness_of()(in_job("10", 1)), Liveness::alive);
}

TEST_F(JobWatchTest, StrangersAreAskedForAllAtOnce) {
  JobWatch watch(run_, std::move(handed_over_));
  EXPECT_EQ(watch.liveness_of()(in_job("20")), Liveness::unknown);
  EXPECT_EQ(watch.liveness_of()(in_job("21")), Liveness::unknown);
  system_->answer = {job_status("20", "RUNNING", "")};
  EXPECT_TRUE(watch.resolve_strangers());
  EXPECT_EQ(system_->questions, 2);
  EXPECT_EQ(watch.liveness_of()(in_job("20")), Liveness::alive);
  EXPECT_EQ(watch.liveness_of()(in_job("21")), Liveness::dead);
  EXPECT_FALSE(watch.resolve_strangers());
}

TEST_F(JobWatchTest, WhereSlurmIsSilentNobodyIsDead) {
  system_->silent = true;
  JobWatch watch(run_, std::move(handed_over_));
  EXPECT_EQ(watch.liveness_of()(in_job("10")), Liveness::unknown);
}

}  // namespace
}  // namespace muster
