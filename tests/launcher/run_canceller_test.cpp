#include "launcher/run_canceller.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "launcher/submission.hpp"
#include "tests/launcher/fake_batch_system.hpp"
#include "tests/support/error_of.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using testing::error_of;
using testing::FakeBatchSystem;
using ::testing::IsEmpty;
using testing::job_status;
using testing::TemporaryFolder;

class RunCancellerTest : public ::testing::Test {
 protected:
  RunCancellerTest() : run_(folder_ / "run") {
    wish_.patience = 100ms;
    wish_.longest_end = 200ms;
    wish_.look_every = 5ms;
  }
  Submission open(const std::string& job, SubmissionKind kind = SubmissionKind::pack,
                  std::vector<int> tasks = {0, 1}, int first = 0) {
    Submission opened = open_submission(run_, kind, std::move(tasks), {}, "", first);
    answer_submission(run_, opened, job);
    return opened;
  }
  std::vector<CancelledJob> cancel() {
    return cancel_jobs(run_, wish_, system_, [this](const std::string& line) { told_.push_back(line); });
  }
  void ends() { system_.answer.clear(); }

  TemporaryFolder folder_;
  RunPaths run_;
  FakeBatchSystem system_;
  CancelWish wish_;
  std::vector<std::string> told_;
};

TEST_F(RunCancellerTest, WhatRunsSavesAndStops) {
  system_.answer = {job_status("10", "RUNNING", open("10").token)};
  system_.on_ask_to_stop = [this](const std::string&) { ends(); };
  const auto ended = cancel();
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_TRUE(ended[0].saved);
  EXPECT_THAT(system_.cancelled, IsEmpty());
  EXPECT_THAT(told_, ElementsAre("job 10 runs: asked to save and stop"));
}

TEST_F(RunCancellerTest, WhatDoesNotStopIsCancelled) {
  system_.answer = {job_status("10", "RUNNING", open("10").token)};
  system_.on_cancel = [this](const std::string&) { ends(); };
  const auto ended = cancel();
  EXPECT_FALSE(ended.at(0).saved);
  EXPECT_THAT(system_.asked_to_stop, ElementsAre("10"));
  EXPECT_THAT(system_.cancelled, ElementsAre("10"));
}

TEST_F(RunCancellerTest, NowAsksNobody) {
  wish_.now = true;
  system_.answer = {job_status("10", "RUNNING", open("10").token)};
  system_.on_cancel = [this](const std::string&) { ends(); };
  cancel();
  EXPECT_THAT(system_.asked_to_stop, IsEmpty());
  EXPECT_THAT(system_.cancelled, ElementsAre("10"));
}

TEST_F(RunCancellerTest, ASuccessorThatAJobAsksForAsItEndsIsEndedToo) {
  system_.answer = {job_status("10", "RUNNING", open("10").token)};
  system_.on_ask_to_stop = [this](const std::string& job) {
    if (job == "10") {
      system_.answer = {job_status("11", "PENDING", open("11").token)};
    } else {
      ends();
    }
  };
  EXPECT_EQ(cancel().size(), 2U);
  EXPECT_THAT(system_.asked_to_stop, ElementsAre("10", "11"));
}

TEST_F(RunCancellerTest, OfAnArrayATasksElementAloneIsEnded) {
  const std::string token = open("10", SubmissionKind::array, {1000, 1001, 1002}, 1000).token;
  system_.answer = {job_status("10", "RUNNING", token, "0"), job_status("10", "RUNNING", token, "1"),
                    job_status("10", "PENDING", token, "2")};
  wish_.task = 1001;
  system_.on_ask_to_stop = [this](const std::string&) { system_.answer.erase(system_.answer.begin() + 1); };
  cancel();
  EXPECT_THAT(system_.asked_to_stop, ElementsAre("10_1"));
}

TEST_F(RunCancellerTest, ATaskThatSharesItsJobIsNotCancelledAlone) {
  system_.answer = {job_status("10", "RUNNING", open("10").token)};
  wish_.task = 1;
  error_of(ExitCode::usage, [this] { cancel(); });
  EXPECT_THAT(system_.cancelled, IsEmpty());
}

TEST_F(RunCancellerTest, WhatDoesNotEndIsToldAndNotWaitedForForever) {
  system_.answer = {job_status("10", "RUNNING", open("10").token)};
  const std::string text = error_of(ExitCode::busy, [this] { cancel(); });
  EXPECT_NE(text.find("job 10 was cancelled and still runs"), std::string::npos) << text;
  EXPECT_EQ(system_.cancelled.size(), 1U);
}

TEST_F(RunCancellerTest, WhereSlurmIsSilentItSaysSo) {
  open("10");
  system_.silent = true;
  error_of(ExitCode::busy, [this] { cancel(); });
}

}  // namespace
}  // namespace muster
