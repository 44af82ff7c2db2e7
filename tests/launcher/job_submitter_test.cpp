#include "launcher/job_submitter.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/launcher/fake_batch_system.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using testing::error_of;
using testing::FakeBatchSystem;
using ::testing::HasSubstr;
using testing::job_status;
using testing::Process;
using testing::TemporaryFolder;

class JobSubmitterTest : public ::testing::Test {
 protected:
  JobSubmitterTest() : run_(folder_ / "run") {
    for (int number = 0; number < 3; ++number) {
      PlannedSubmission planned;
      planned.kind = SubmissionKind::array;
      planned.first = number * 1000;
      planned.tasks = {planned.first};
      planned.request.array = "0";
      plans_.push_back(planned);
    }
  }

  std::vector<Submission> submit() {
    return submit_all(run_, nullptr, plans_, {"sweep", "/opt/muster", "/home/me", {"7"}}, {}, system_);
  }
  /// As a process that is no more left it.
  Submission unanswered() {
    Submission opened = open_submission(run_, SubmissionKind::pack, {0}, {}, "");
    const auto request = run_.submission(opened.number).request();
    std::string text = testing::text_of(request);
    const std::string own = "\"pid\": " + std::to_string(opened.submitter.pid);
    Process gone({"true"});
    gone.wait();
    text.replace(text.find(own), own.size(), "\"pid\": " + std::to_string(gone.pid()));
    testing::write_text(request, text);
    return opened;
  }

  TemporaryFolder folder_;
  RunPaths run_;
  FakeBatchSystem system_;
  std::vector<PlannedSubmission> plans_;
};

TEST_F(JobSubmitterTest, EveryRequestIsOnDiskBeforeTheFirstGoesOut) {
  std::vector<std::size_t> on_disk;
  system_.on_submit = [&](const JobRequest&) {
    on_disk.push_back(read_submissions(run_).size());
    return std::to_string(10 + on_disk.size());
  };
  const auto submissions = submit();
  EXPECT_THAT(on_disk, ElementsAre(3, 3, 3));
  ASSERT_EQ(submissions.size(), 3U);
  EXPECT_EQ(submissions[2].job, "13");
  EXPECT_EQ(read_submissions(run_).at(2).job, "13");
  const JobRequest& asked = system_.submitted.at(1);
  EXPECT_EQ(asked.token, submissions[1].token);
  EXPECT_THAT(asked.command,
              ElementsAre("/opt/muster", "continue", run_.folder().string(), "--first", "1000"));
  EXPECT_THAT(system_.submitted.at(0).command,
              ElementsAre("/opt/muster", "continue", run_.folder().string()));
  EXPECT_EQ(asked.working_folder, "/home/me");
  EXPECT_THAT(asked.after, ElementsAre("7"));
}

TEST_F(JobSubmitterTest, AJobIsToldWhichOnesBeforeItMustEndWell) {
  plans_[2].waits_for = {0, 1000};
  const auto submissions = submit();
  EXPECT_THAT(system_.submitted.at(0).after, ElementsAre("7"));
  EXPECT_THAT(system_.submitted.at(2).after, ElementsAre("7", "101", "102"));
  EXPECT_THAT(read_submissions(run_).at(2).request.after, ElementsAre("7")) << "its successor waits for none";
}

TEST_F(JobSubmitterTest, WhereSlurmRefusesOneNothingIsLeftQueued) {
  system_.on_submit = [&](const JobRequest&) -> std::string {
    if (system_.submitted.size() == 2) throw Error(ExitCode::resources, "no such account", "");
    return "11";
  };
  EXPECT_THAT(error_of(ExitCode::resources, [&] { submit(); }), HasSubstr("no such account"));
  EXPECT_THAT(system_.cancelled, ElementsAre("11"));
  const auto left = read_submissions(run_);
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left[0].job, "11");
}

TEST_F(JobSubmitterTest, AnAnswerThatGotLostIsFound) {
  plans_.resize(1);
  system_.on_submit = [&](const JobRequest& request) -> std::string {
    system_.answer = {job_status("42", "PENDING", request.token)};
    throw Error(ExitCode::busy, "Socket timed out", "");
  };
  EXPECT_EQ(submit().at(0).job, "42");
}

TEST_F(JobSubmitterTest, WhereNobodyKnowsItIsLookedForByTheNextCall) {
  plans_.resize(1);
  system_.on_submit = [&](const JobRequest&) -> std::string {
    system_.silent = true;
    throw Error(ExitCode::busy, "Socket timed out", "");
  };
  EXPECT_THAT(error_of(ExitCode::busy, [&] { submit(); }), HasSubstr("whether it took the job is not known"));
  EXPECT_FALSE(read_submissions(run_).at(0).job);
  system_.silent = false;
  system_.answer = {job_status("42", "PENDING", token_prefix(run_) + "1")};
  EXPECT_THAT(error_of(ExitCode::busy, [&] { require_no_living_job(run_, system_); }), HasSubstr("job 42"));
  EXPECT_EQ(read_submissions(run_).at(0).job, "42");
}

TEST_F(JobSubmitterTest, ARequestThatNobodyTookIsNoJob) {
  unanswered();
  require_no_living_job(run_, system_);
}

TEST_F(JobSubmitterTest, AJobThatEndedIsNoneToWaitFor) {
  Submission before = open_submission(run_, SubmissionKind::pack, {0}, {}, "");
  answer_submission(run_, before, "10");
  system_.answer = {job_status("10", "TIMEOUT", before.token)};
  require_no_living_job(run_, system_);
  system_.answer = {job_status("10", "PENDING", before.token)};
  error_of(ExitCode::busy, [&] { require_no_living_job(run_, system_); });
}

TEST_F(JobSubmitterTest, WhereSlurmIsSilentNothingIsAskedFor) {
  Submission before = open_submission(run_, SubmissionKind::pack, {0}, {}, "");
  answer_submission(run_, before, "10");
  system_.silent = true;
  EXPECT_THAT(error_of(ExitCode::busy, [&] { require_no_living_job(run_, system_); }),
              HasSubstr("the controller sleeps"));
}

TEST_F(JobSubmitterTest, AfterAJobThatFailedOrIsUnknownNothingIsAskedFor) {
  system_.answer = {job_status("10", "FAILED", ""), job_status("11", "COMPLETED", ""),
                    job_status("12", "PENDING", "")};
  require_jobs_to_wait_for({}, system_);
  require_jobs_to_wait_for({"11", "12"}, system_);
  EXPECT_THAT(error_of(ExitCode::usage, [&] { require_jobs_to_wait_for({"10"}, system_); }),
              HasSubstr("job 10 failed"));
  EXPECT_THAT(error_of(ExitCode::usage, [&] { require_jobs_to_wait_for({"13"}, system_); }),
              HasSubstr("no job 13"));
}

}  // namespace
}  // namespace muster
