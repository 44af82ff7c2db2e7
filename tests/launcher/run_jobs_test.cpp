#include "launcher/run_jobs.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"
#include "tests/launcher/fake_batch_system.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::FakeBatchSystem;
using testing::TemporaryFolder;

class RunJobsTest : public ::testing::Test {
 protected:
  RunJobsTest() : run_(folder_ / "run") {}
  Submission open(SubmissionKind kind, std::vector<int> tasks, int first = 0) {
    JobRequest request;
    request.name = "sweep";
    return open_submission(run_, kind, std::move(tasks), request, "", first);
  }

  TemporaryFolder folder_;
  RunPaths run_;
  FakeBatchSystem system_;
};

TEST_F(RunJobsTest, ARunThatWasNeverSubmittedAsksNothing) {
  EXPECT_TRUE(look_at_jobs(run_, &system_).jobs.empty());
  EXPECT_EQ(system_.questions, 0);
}

TEST_F(RunJobsTest, AllJobsAreAskedForAtOnce) {
  Submission first = open(SubmissionKind::pack, {0});
  Submission second = open(SubmissionKind::pack, {1});
  answer_submission(run_, first, "10");
  answer_submission(run_, second, "11");
  system_.answer = {testing::job_status("10", "COMPLETED", first.token),
                    testing::job_status("11", "RUNNING", second.token)};
  const RunJobs jobs = look_at_jobs(run_, &system_);
  EXPECT_EQ(system_.questions, 1);
  EXPECT_EQ(system_.asked_jobs, (std::vector<std::string>{"10", "11"}));
  EXPECT_EQ(system_.asked_token, token_prefix(run_));
  ASSERT_EQ(jobs.jobs.size(), 2U);
  EXPECT_FALSE(jobs.jobs[0].lives());
  EXPECT_TRUE(jobs.jobs[1].lives());
  EXPECT_TRUE(jobs.any_lives());
}

TEST_F(RunJobsTest, AnAnswerThatGotLostIsFoundByItsTokenAndWrittenDown) {
  const Submission lost = open(SubmissionKind::pack, {0});
  system_.answer = {testing::job_status("99", "PENDING", lost.token)};
  EXPECT_TRUE(look_at_jobs(run_, &system_).any_lives());
  EXPECT_EQ(read_submissions(run_).at(0).job, "99");
}

TEST_F(RunJobsTest, AnIdThatSlurmGaveToSomebodyElseIsNotOurs) {
  Submission mine = open(SubmissionKind::pack, {0});
  answer_submission(run_, mine, "10");
  system_.answer = {testing::job_status("10", "RUNNING", "")};
  EXPECT_FALSE(look_at_jobs(run_, &system_).any_lives());
  system_.answer = {testing::job_status("10", "RUNNING", "muster:0123456789abcdef:1")};
  EXPECT_FALSE(look_at_jobs(run_, &system_).any_lives());
  system_.answer = {testing::job_status("10", "RUNNING", mine.token)};
  EXPECT_TRUE(look_at_jobs(run_, &system_).any_lives());
}

TEST_F(RunJobsTest, OneThatSacctRemembersWithoutItsCommentIsKnownByItsName) {
  Submission mine = open(SubmissionKind::pack, {0});
  answer_submission(run_, mine, "10");
  system_.answer = {testing::job_status("10", "TIMEOUT", "")};
  EXPECT_EQ(look_at_jobs(run_, &system_).jobs.at(0).parts.size(), 1U);
  system_.answer[0].name = "other";
  EXPECT_TRUE(look_at_jobs(run_, &system_).jobs.at(0).parts.empty());
}

TEST_F(RunJobsTest, AStateThatNobodyKnowsLives) {
  Submission mine = open(SubmissionKind::pack, {0});
  answer_submission(run_, mine, "10");
  system_.answer = {testing::job_status("10", "TELEPORTING", mine.token)};
  EXPECT_TRUE(look_at_jobs(run_, &system_).any_lives());
}

TEST_F(RunJobsTest, WhereSlurmIsSilentTheFilesSpeak) {
  Submission mine = open(SubmissionKind::pack, {0});
  answer_submission(run_, mine, "10");
  system_.silent = true;
  const RunJobs jobs = look_at_jobs(run_, &system_);
  EXPECT_EQ(jobs.silence, "the controller sleeps");
  EXPECT_EQ(jobs.jobs.at(0).submission.job, "10");
  EXPECT_FALSE(look_at_jobs(run_, nullptr).silence.empty());
}

TEST_F(RunJobsTest, ATaskOfAnArrayHasItsElement) {
  Submission mine = open(SubmissionKind::array, {1000, 1001, 1002, 1003}, 1000);
  answer_submission(run_, mine, "10");
  system_.answer = {testing::job_status("10", "PENDING", mine.token, "2-3%1"),
                    testing::job_status("10", "RUNNING", mine.token, "1"),
                    testing::job_status("10", "FAILED", mine.token, "0")};
  const RunJobs jobs = look_at_jobs(run_, &system_);
  const RunJob& job = jobs.jobs.at(0);
  EXPECT_EQ(job.of_task(1000)->state, "FAILED");
  EXPECT_EQ(job.of_task(1001)->state, "RUNNING");
  EXPECT_EQ(job.of_task(1003)->state, "PENDING");
  EXPECT_EQ(job.of_task(1004), nullptr);
  EXPECT_EQ(job.of_task(2), nullptr);
  EXPECT_EQ(jobs.job_of(1002), &job);
  EXPECT_EQ(jobs.job_of(7), nullptr);
}

TEST_F(RunJobsTest, ATaskThatWasSubmittedTwiceHasTheNewestJob) {
  Submission first = open(SubmissionKind::pack, {0, 1});
  answer_submission(run_, first, "10");
  Submission second = open(SubmissionKind::pack, {1});
  answer_submission(run_, second, "11");
  const RunJobs jobs = look_at_jobs(run_, &system_);
  EXPECT_EQ(jobs.job_of(0)->submission.job, "10");
  EXPECT_EQ(jobs.job_of(1)->submission.job, "11");
}

TEST_F(RunJobsTest, WhatSlurmHasForgottenItWroteIntoTheOutput) {
  Submission mine = open(SubmissionKind::pack, {0});
  answer_submission(run_, mine, "10");
  testing::write_text(
      run_.submission(1).folder() / "slurm-10.out",
      "slurmstepd: error: *** JOB 10 ON n1 CANCELLED AT 2026-11-21T15:59:34 DUE TO TIME LIMIT ***\n");
  const RunJobs jobs = look_at_jobs(run_, &system_);
  ASSERT_EQ(jobs.jobs.at(0).parts.size(), 1U);
  EXPECT_EQ(words_of(jobs.jobs[0].parts[0]), "ran into its time limit");
  EXPECT_FALSE(jobs.any_lives());
}

TEST_F(RunJobsTest, ExitCodesOfMusterHaveTheirMeaning) {
  JobStatus job = testing::job_status("10", "FAILED", "");
  job.exit_code = 75;
  EXPECT_EQ(words_of(job), "saved and stopped");
  job.exit_code = 1;
  EXPECT_EQ(words_of(job), "ended with failed tasks");
  job.exit_code = 3;
  EXPECT_EQ(words_of(job), "failed with exit code 3");
}

TEST(ArrayRanges, HoldTheIndicesThatSlurmMeans) {
  EXPECT_TRUE(holds_index("7", 7));
  EXPECT_FALSE(holds_index("7", 8));
  EXPECT_TRUE(holds_index("1,3-5%2", 4));
  EXPECT_FALSE(holds_index("1,3-5%2", 2));
  EXPECT_TRUE(holds_index("0-8:2", 4));
  EXPECT_FALSE(holds_index("0-8:2", 5));
  EXPECT_TRUE(holds_index("1,3,5,...", 900));
  EXPECT_FALSE(holds_index("1,3,5,...", 4));
  EXPECT_FALSE(holds_index("", 0));
}

}  // namespace
}  // namespace muster
