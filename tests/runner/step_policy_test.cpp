#include "runner/step_policy.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

Policy by_seconds(double seconds) {
  Policy policy;
  policy.checkpoint_seconds = seconds;
  return policy;
}

TEST(StepPolicy, SavesOncePerInterval) {
  StepPolicy policy(by_seconds(10), std::nullopt, 100);
  EXPECT_EQ(policy.after_step(105), AfterStep::go_on);
  EXPECT_EQ(policy.after_step(110), AfterStep::save);
  EXPECT_EQ(policy.after_step(111), AfterStep::go_on);
  policy.saved(111, 114);
  EXPECT_EQ(policy.after_step(123), AfterStep::go_on);
  EXPECT_EQ(policy.after_step(124), AfterStep::save);
}

TEST(StepPolicy, NeverSavesByTimeAtZero) {
  StepPolicy policy(by_seconds(0), std::nullopt, 0);
  EXPECT_EQ(policy.after_step(1e6), AfterStep::go_on);
}

TEST(StepPolicy, SavesAtMultiplesOfItsSteps) {
  Policy options;
  options.checkpoint_steps = 5;
  const StepPolicy policy(options, std::nullopt, 0);
  EXPECT_EQ(policy.at_step(0), AfterStep::go_on);
  EXPECT_EQ(policy.at_step(4), AfterStep::go_on);
  EXPECT_EQ(policy.at_step(5), AfterStep::save);
  EXPECT_EQ(policy.at_step(10), AfterStep::save);
}

TEST(StepPolicy, StopsWhileStepsAndACheckpointStillFit) {
  StepPolicy policy(by_seconds(0), 1000, 0);
  EXPECT_EQ(policy.after_step(20), AfterStep::go_on);  // A step takes 20 s.
  policy.saved(20, 50);                                // A checkpoint takes 30 s.
  EXPECT_EQ(policy.after_step(70), AfterStep::go_on);
  double now = 70;
  while (policy.after_step(now += 20) == AfterStep::go_on) {
  }
  EXPECT_GE(1000 - now, 20 + 30);
  EXPECT_LE(1000 - now, 3 * 20 + 30 + StepPolicy::kReserve);
  EXPECT_EQ(policy.after_step(now + 1), AfterStep::save_and_stop);
}

TEST(StepPolicy, DoesNotCountACheckpointAsAStep) {
  StepPolicy policy(by_seconds(0), std::nullopt, 0);
  policy.after_step(1);
  policy.saved(1, 500);
  policy.after_step(501);
  EXPECT_LE(policy.slow_step(), 1.0);
}

}  // namespace
}  // namespace muster
