#include "launcher/submission.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>

#include "tests/support/error_of.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::error_of;
using testing::TemporaryFolder;
using testing::text_of;
using testing::write_text;

JobRequest sample() {
  JobRequest request;
  request.name = "sweep";
  request.options.partition = "gpu";
  request.options.mem = "3G";
  request.options.modules = {"a", "b c"};
  request.options.prologue = "/site/setup.sh";
  request.options.nodes = 2;
  request.options.array_throttle = 4;
  request.options.requeue = false;
  request.options.sbatch = {{"nice", "100"}, {"spread-job", ""}, {"licenses", "quote\" $(id);\n'"}};
  request.nodes = 3;
  request.tasks_per_node = 4;
  request.cpus_per_task = 5;
  request.gpus_per_node = 6;
  request.array = "0-3,7";
  request.after = {"17", "18"};
  request.command = {"/opt/muster", "continue", "/runs/with space"};
  request.working_folder = "/home/me";
  request.signal_seconds = 90;
  return request;
}

class SubmissionTest : public ::testing::Test {
 protected:
  SubmissionTest() : run_(folder_ / "100%/x") {}
  Submission open() {
    return open_submission(run_, SubmissionKind::array, {0, 1, 2, 3, 7}, sample(), "exit 0\n");
  }

  TemporaryFolder folder_;
  RunPaths run_;
};

TEST_F(SubmissionTest, IsOnDiskWholeBeforeItIsAsked) {
  const Submission opened = open();
  EXPECT_EQ(opened.number, 1);
  EXPECT_EQ(opened.token, token_prefix(run_) + "1");
  EXPECT_EQ(text_of(run_.submission(1).script()), "exit 0\n");
  const auto read = read_submissions(run_);
  ASSERT_EQ(read.size(), 1U);
  EXPECT_EQ(read[0].number, 1);
  EXPECT_EQ(read[0].kind, SubmissionKind::array);
  EXPECT_EQ(read[0].token, opened.token);
  EXPECT_EQ(read[0].tasks, (std::vector<int>{0, 1, 2, 3, 7}));
  EXPECT_EQ(read[0].submitter, own_identity());
  EXPECT_FALSE(read[0].job);
}

TEST_F(SubmissionTest, TheRequestComesBackAsItWas) {
  open();
  const JobRequest asked = sample();
  const JobRequest read = read_submissions(run_).at(0).request;
  EXPECT_EQ(read.name, asked.name);
  EXPECT_EQ(read.token, token_prefix(run_) + "1");
  EXPECT_EQ(read.options.partition, asked.options.partition);
  EXPECT_EQ(read.options.mem, asked.options.mem);
  EXPECT_EQ(read.options.account, "");
  EXPECT_EQ(read.options.modules, asked.options.modules);
  EXPECT_EQ(read.options.prologue, asked.options.prologue);
  EXPECT_EQ(read.options.nodes, asked.options.nodes);
  EXPECT_EQ(read.options.array_throttle, asked.options.array_throttle);
  EXPECT_EQ(read.options.requeue, asked.options.requeue);
  EXPECT_EQ(read.options.sbatch, asked.options.sbatch);
  EXPECT_EQ(read.nodes, asked.nodes);
  EXPECT_EQ(read.tasks_per_node, asked.tasks_per_node);
  EXPECT_EQ(read.cpus_per_task, asked.cpus_per_task);
  EXPECT_EQ(read.gpus_per_node, asked.gpus_per_node);
  EXPECT_EQ(read.array, asked.array);
  EXPECT_EQ(read.after, asked.after);
  EXPECT_EQ(read.command, asked.command);
  EXPECT_EQ(read.working_folder, asked.working_folder);
  EXPECT_EQ(read.signal_seconds, asked.signal_seconds);
}

TEST_F(SubmissionTest, OutputGoesToItsFolderAndPercentSignsOfTheFolderStay) {
  const std::string output = open().request.output;
  EXPECT_EQ(output, (folder_ / "100%%/x/submissions/1/slurm-%A_%a.out").string());
}

TEST_F(SubmissionTest, AnElementsOutputIsFound) {
  Submission opened = open();
  EXPECT_EQ(output_of(opened, 7), "");
  opened.first = 5;
  opened.job = "17";
  EXPECT_EQ(output_of(opened, 7), run_.submission(1).folder() / "slurm-17_2.out");
  opened.kind = SubmissionKind::pack;
  EXPECT_EQ(output_of(opened, 7), run_.submission(1).folder() / "slurm-17.out");
}

TEST_F(SubmissionTest, AnAnswerIsKept) {
  Submission opened = open();
  answer_submission(run_, opened, "4711");
  EXPECT_EQ(opened.job, "4711");
  EXPECT_EQ(read_submissions(run_).at(0).job, "4711");
}

TEST_F(SubmissionTest, WhatSlurmRefusedIsNoSubmissionAndItsNumberIsNotTakenAgain) {
  withdraw_submission(run_, open());
  EXPECT_TRUE(read_submissions(run_).empty());
  EXPECT_EQ(open().number, 2);
}

TEST_F(SubmissionTest, NumbersAscendBeyondNine) {
  for (int number = 1; number <= 11; ++number) EXPECT_EQ(open().number, number);
  EXPECT_EQ(read_submissions(run_).back().number, 11);
}

TEST_F(SubmissionTest, AnotherRunHasOtherTokens) {
  EXPECT_NE(token_prefix(run_), token_prefix(RunPaths(folder_ / "100%/y")));
  EXPECT_EQ(token_prefix(run_), token_prefix(RunPaths(folder_ / "100%/y/../x")));
}

TEST_F(SubmissionTest, ADamagedOneIsNamed) {
  open();
  write_text(run_.submission(1).request(), "{\"format\":1");
  const std::string text = error_of(ExitCode::storage, [&] { read_submissions(run_); });
  EXPECT_NE(text.find("submissions/1/request.json"), std::string::npos) << text;
}

TEST_F(SubmissionTest, ARunThatWasNeverSubmittedHasNone) { EXPECT_TRUE(read_submissions(run_).empty()); }

}  // namespace
}  // namespace muster
