#include "launcher/verdict.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "core/error.hpp"

namespace muster {
namespace {

using ::testing::HasSubstr;

EndOfAttempt end_with(int exit_code, int signal = 0) {
  EndOfAttempt end;
  end.exit = ExitRecord{exit_code, signal, 0, 1};
  return end;
}

EndOfAttempt failed_with(ExitCode code) {
  EndOfAttempt end = end_with(static_cast<int>(code));
  end.failure = FailureRecord{static_cast<int>(code), "the problem", "the advice", 1, "node"};
  return end;
}

TEST(Verdict, ZeroIsDone) { EXPECT_EQ(judge(end_with(0)).ending, Ending::done); }

TEST(Verdict, SeventyFiveIsStoppedNotFailed) {
  EXPECT_EQ(judge(end_with(75)).ending, Ending::stopped);
  EndOfAttempt command = end_with(75);
  command.is_exec = true;
  EXPECT_EQ(judge(command).ending, Ending::stopped);
}

TEST(Verdict, CausesThatASecondTryCannotChangeAreNotRetried) {
  for (const ExitCode code :
       {ExitCode::usage, ExitCode::config, ExitCode::data, ExitCode::resources, ExitCode::workload,
        ExitCode::diverged, ExitCode::checkpoint, ExitCode::internal}) {
    const Verdict verdict = judge(failed_with(code));
    EXPECT_EQ(verdict.ending, Ending::failed);
    EXPECT_FALSE(verdict.retry) << static_cast<int>(code);
    EXPECT_EQ(verdict.reason, "rank 1: the problem; the advice");
    EXPECT_FALSE(judge(end_with(static_cast<int>(code))).retry) << "without a failure record";
  }
}

TEST(Verdict, StorageAndUnknownCrashesAreRetried) {
  EXPECT_TRUE(judge(failed_with(ExitCode::storage)).retry);
  EXPECT_TRUE(judge(failed_with(ExitCode::task_failed)).retry);
  EXPECT_TRUE(judge(end_with(1)).retry);
  EXPECT_TRUE(judge(end_with(128 + SIGSEGV, SIGSEGV)).retry);
  EXPECT_TRUE(judge(EndOfAttempt{}).retry) << "vanished";
}

TEST(Verdict, AGangWhoseJobSlurmEndsHasStopped) {
  EndOfAttempt end = end_with(128 + SIGTERM);
  end.noted = "PREEMPTED";
  EXPECT_EQ(judge(end).ending, Ending::stopped);
  EXPECT_THAT(judge(end).reason, HasSubstr("preempted"));
  end.exit->lost_ranks = true;
  EXPECT_EQ(judge(end).ending, Ending::stopped) << "the step's ranks were killed";
  end.noted = "TIMEOUT";
  EXPECT_THAT(judge(end).reason, HasSubstr("time limit"));
  end = end_with(75);
  end.noted = "PREEMPTED";
  EXPECT_EQ(judge(end).reason, "saved and stopped");
  end = end_with(0);
  end.noted = "TIMEOUT";
  EXPECT_EQ(judge(end).ending, Ending::done) << "it had just ended";
}

TEST(Verdict, MemoryThatSlurmRefusedIsNamed) {
  EndOfAttempt end = end_with(128 + SIGKILL);
  end.noted = "OUT_OF_MEMORY";
  EXPECT_EQ(judge(end).ending, Ending::failed);
  EXPECT_TRUE(judge(end).retry);
  EXPECT_THAT(judge(end).reason, HasSubstr("mem under [slurm]"));
}

TEST(Verdict, WhatSlurmDidNotStartSaysNothingOfTheTask) {
  EndOfAttempt end = end_with(1);
  end.exit->never_started = true;
  EXPECT_EQ(judge(end).ending, Ending::failed);
  EXPECT_TRUE(judge(end).never_started);
  EXPECT_FALSE(judge(end_with(1)).never_started);
}

TEST(Verdict, ZeroOfAStepThatLostRanksIsAFailureAndRetried) {
  EndOfAttempt end = end_with(1);
  end.exit->lost_ranks = true;
  EXPECT_EQ(judge(end).ending, Ending::failed);
  EXPECT_TRUE(judge(end).retry);
  end.asked_to_stop = true;
  EXPECT_EQ(judge(end).ending, Ending::stopped);
}

TEST(Verdict, SignalOfARankIsSeenThroughMpirun) {
  const Verdict verdict = judge(end_with(128 + SIGKILL));
  EXPECT_TRUE(verdict.retry);
  EXPECT_THAT(verdict.reason, HasSubstr("signal 9"));
  EXPECT_THAT(verdict.reason, HasSubstr("memory"));
}

TEST(Verdict, CodesOfAUsersCommandMeanNothingToMuster) {
  EndOfAttempt command = end_with(static_cast<int>(ExitCode::config));
  command.is_exec = true;
  EXPECT_TRUE(judge(command).retry);
  EXPECT_EQ(judge(command).reason, "its command returned 3");
}

TEST(Verdict, CommandThatCannotStartIsNotRetried) {
  EndOfAttempt command = end_with(127);
  command.is_exec = true;
  EXPECT_FALSE(judge(command).retry);
}

TEST(Verdict, SignalAfterAStopRequestIsAStop) {
  EndOfAttempt end = end_with(128 + SIGUSR1, SIGUSR1);
  EXPECT_EQ(judge(end).ending, Ending::failed);
  end.asked_to_stop = true;
  EXPECT_EQ(judge(end).ending, Ending::stopped);
  EndOfAttempt broken = failed_with(ExitCode::data);
  broken.asked_to_stop = true;
  EXPECT_EQ(judge(broken).ending, Ending::failed) << "a cause stays a cause";
  EndOfAttempt finished = end_with(0);
  finished.asked_to_stop = true;
  EXPECT_EQ(judge(finished).ending, Ending::done) << "it was faster";
}

}  // namespace
}  // namespace muster
