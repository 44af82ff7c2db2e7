#include "launcher/attempt_ledger.hpp"

#include <gtest/gtest.h>

#include "core/durable_file.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::write_text;

class AttemptLedger : public ::testing::Test {
 protected:
  AttemptLedger() : task_(root_.path()) {
    ours_.launcher = own_identity();
    others_.launcher = {"another-host", "boot", 17, 4};
    dead_.launcher = own_identity();
    dead_.launcher.start += 1;
  }

  AttemptView view() const { return newest_attempt(task_, liveness); }
  AttemptPhase phase() const { return view().phase; }

  testing::TemporaryFolder root_;
  TaskPaths task_;
  GangOrder ours_, others_, dead_;
};

TEST_F(AttemptLedger, UntriedTaskHasNone) {
  EXPECT_EQ(phase(), AttemptPhase::none);
  EXPECT_EQ(newest_attempt(TaskPaths(root_ / "not-there"), liveness).phase, AttemptPhase::none);
}

TEST_F(AttemptLedger, NumberGoesToOneLauncherOnly) {
  EXPECT_TRUE(open_attempt(task_, 1, ours_));
  EXPECT_FALSE(open_attempt(task_, 1, dead_));
  EXPECT_EQ(read_gang_order(AttemptPaths(task_.attempt(1)).gang()).launcher, ours_.launcher);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(task_.folder()), {}), 1)
      << "nothing is left beside it";
}

TEST_F(AttemptLedger, UnclaimedAttemptIsJudgedByItsLauncher) {
  ASSERT_TRUE(open_attempt(task_, 1, ours_));
  EXPECT_EQ(phase(), AttemptPhase::coming_up);
  ASSERT_TRUE(open_attempt(task_, 2, dead_));
  EXPECT_EQ(phase(), AttemptPhase::abandoned);
  ASSERT_TRUE(open_attempt(task_, 3, others_));
  EXPECT_EQ(phase(), AttemptPhase::elsewhere);
}

TEST_F(AttemptLedger, VoidedAttemptCannotBeClaimed) {
  ASSERT_TRUE(open_attempt(task_, 1, dead_));
  EXPECT_TRUE(void_attempt(task_, 1));
  EXPECT_EQ(phase(), AttemptPhase::voided);
  EXPECT_FALSE(create_exclusively(task_.claim(1), identity_to_json(own_identity())));
}

TEST_F(AttemptLedger, ShimThatWasFasterCannotBeVoided) {
  ASSERT_TRUE(open_attempt(task_, 1, dead_));
  ASSERT_TRUE(create_exclusively(task_.claim(1), identity_to_json(own_identity())));
  EXPECT_FALSE(void_attempt(task_, 1));
  EXPECT_EQ(phase(), AttemptPhase::running);
  EXPECT_EQ(view().claimant, own_identity());
}

TEST_F(AttemptLedger, ClaimIsJudgedByItsProcess) {
  ASSERT_TRUE(open_attempt(task_, 1, ours_));
  write_text(task_.claim(1), identity_to_json(dead_.launcher));
  EXPECT_EQ(phase(), AttemptPhase::vanished);
  write_text(task_.claim(1), identity_to_json(others_.launcher));
  EXPECT_EQ(phase(), AttemptPhase::elsewhere);
}

TEST_F(AttemptLedger, ExitRecordEndsAnAttemptWhereverItRan) {
  ASSERT_TRUE(open_attempt(task_, 1, others_));
  write_text(task_.claim(1), identity_to_json(others_.launcher));
  write_text(AttemptPaths(task_.attempt(1)).exit_record(), exit_record_to_json({75, 0, 100, 130.5}));
  const AttemptView ended = view();
  EXPECT_EQ(ended.phase, AttemptPhase::ended);
  EXPECT_EQ(ended.exit->exit_code, 75);
  EXPECT_DOUBLE_EQ(seconds_of_attempts(task_), 30.5);
}

TEST_F(AttemptLedger, NewestAttemptIsTheHighestNumberNotTheLastName) {
  for (int number : {1, 2, 9, 10}) ASSERT_TRUE(open_attempt(task_, number, ours_));
  std::filesystem::create_directories(task_.folder() / "attempt-99x");
  EXPECT_EQ(highest_attempt(task_), 10);
  write_text(task_.claim(12), "");
  EXPECT_EQ(highest_attempt(task_), 12);
}

TEST_F(AttemptLedger, RankWhoseCodeTheGangReturnedSpeaksForIt) {
  const AttemptPaths attempt(task_.attempt(1));
  EXPECT_FALSE(leading_failure(attempt, 9));
  write_text(attempt.failure(0), R"({"code": 1, "problem": "lost rank 1", "rank": 0})");
  write_text(attempt.failure(1), R"({"code": 9, "problem": "loss is NaN", "advice": "lower lr", "rank": 1})");
  write_text(attempt.failure(2), R"({"code": 9, "prob)");
  const auto failure = leading_failure(attempt, 9);
  ASSERT_TRUE(failure);
  EXPECT_EQ(failure->problem, "loss is NaN");
  EXPECT_EQ(failure->rank, 1);
  EXPECT_EQ(leading_failure(attempt, 137)->rank, 0);
}

TEST_F(AttemptLedger, AsideFolderOfADeadLauncherIsSweptUp) {
  write_text(task_.folder() / ".attempt-1.host-17" / "gang.json", gang_order_to_json(dead_));
  write_text(task_.folder() / ".attempt-1.host-18" / "gang.json", gang_order_to_json(others_));
  ASSERT_TRUE(open_attempt(task_, 1, ours_));
  EXPECT_FALSE(std::filesystem::exists(task_.folder() / ".attempt-1.host-17"));
  EXPECT_TRUE(std::filesystem::exists(task_.folder() / ".attempt-1.host-18"));
}

}  // namespace
}  // namespace muster
