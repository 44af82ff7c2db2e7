/// What Slurm's texts say of a job's place in the queue and of its end.

#include <gtest/gtest.h>

#include "slurm/output_notes.hpp"
#include "slurm/queue_position.hpp"

namespace muster {
namespace {

TEST(QueuePosition, CountsJobsOfHigherPriorityAndElementsOfArrays) {
  const std::string text = "17|500\n18|400\n20_[0-3,7%2]|450\n21|400\n22_5|600\n";
  EXPECT_EQ(jobs_ahead_in(text, "22"), 0);
  EXPECT_EQ(jobs_ahead_in(text, "17"), 1);
  EXPECT_EQ(jobs_ahead_in(text, "20"), 2);
  EXPECT_EQ(jobs_ahead_in(text, "18"), 7);
  EXPECT_EQ(jobs_ahead_in(text, "21"), 8);
}

TEST(QueuePosition, OfAJobThatDoesNotWaitIsNotKnown) {
  EXPECT_EQ(jobs_ahead_in("17|500\n", "18"), std::nullopt);
  EXPECT_EQ(jobs_ahead_in("", "18"), std::nullopt);
  EXPECT_EQ(jobs_ahead_in("nonsense\n|\n", "18"), std::nullopt);
  JobStatus running;
  running.state = "RUNNING";
  EXPECT_EQ(jobs_ahead(running), std::nullopt);
}

TEST(OutputNotes, NameTheCause) {
  // Recorded: 22.05.
  EXPECT_EQ(state_noted_in("slurmstepd-n1: error: *** JOB 22 ON n1 CANCELLED AT 2026-11-21T15:58:05 ***\n"),
            "CANCELLED");
  EXPECT_EQ(
      state_noted_in("x\nslurmstepd-n1: error: *** JOB 21 ON n1 CANCELLED AT 2026-11-21T15:59:34 DUE TO TIME "
                     "LIMIT ***\n"),
      "TIMEOUT");
  // Constructed from the documented forms.
  EXPECT_EQ(state_noted_in("slurmstepd: error: *** STEP 9.0 ON n1 CANCELLED AT 2026-11-21T15:59:34 DUE TO "
                           "PREEMPTION ***\n"),
            "PREEMPTED");
  EXPECT_EQ(state_noted_in("srun: error: Node failure on n2\nslurmstepd: error: *** JOB 9 ON n1 CANCELLED AT "
                           "2026-11-21T15:59:34 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***\n"),
            "NODE_FAIL");
  EXPECT_EQ(
      state_noted_in("slurmstepd: error: Detected 1 oom_kill event in StepId=9.0. Some of the step tasks "
                     "have been OOM Killed.\nsrun: error: n1: task 0: Out Of Memory\nslurmstepd: error: *** "
                     "STEP 9.0 ON n1 CANCELLED AT 2026-11-21T15:59:34 ***\n"),
      "OUT_OF_MEMORY");
}

TEST(OutputNotes, WhatAProgramWritesIsNoNoteOfSlurms) {
  EXPECT_EQ(state_noted_in("torch: CUDA out of memory\nCANCELLED AT noon DUE TO TIME LIMIT\n"), "");
  EXPECT_EQ(state_noted_in(""), "");
}

}  // namespace
}  // namespace muster
