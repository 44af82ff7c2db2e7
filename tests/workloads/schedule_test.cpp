#include "workloads/common/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/error.hpp"

namespace muster::workloads {
namespace {

using Kind = ScheduleOptions::Kind;

TEST(Schedule, PiecewiseLinearRisesToItsPeakAndFallsToZero) {
  const Schedule schedule({.kind = Kind::piecewise_linear, .knots = {{0, 0}, {5, 0.4}, {24, 0}}});
  EXPECT_DOUBLE_EQ(schedule.rate(0), 0);
  EXPECT_DOUBLE_EQ(schedule.rate(2.5), 0.2);
  EXPECT_DOUBLE_EQ(schedule.rate(5), 0.4);
  EXPECT_DOUBLE_EQ(schedule.rate(14.5), 0.2);
  EXPECT_DOUBLE_EQ(schedule.rate(24), 0);
  EXPECT_DOUBLE_EQ(schedule.rate(30), 0);
}

TEST(Schedule, StepFallsAtEachMilestoneAfterItsWarmUp) {
  const Schedule schedule(
      {.kind = Kind::step, .peak = 0.8, .warmup_epochs = 4, .warmup_start = 0.25, .milestones = {10, 20}});
  EXPECT_DOUBLE_EQ(schedule.rate(0), 0.2);
  EXPECT_DOUBLE_EQ(schedule.rate(2), 0.5);
  EXPECT_DOUBLE_EQ(schedule.rate(4), 0.8);
  EXPECT_DOUBLE_EQ(schedule.rate(9.999), 0.8);
  EXPECT_DOUBLE_EQ(schedule.rate(10), 0.08);
  EXPECT_NEAR(schedule.rate(20), 0.008, 1e-15);
}

TEST(Schedule, CosineEndsAtZeroWhereTheTrainingEnds) {
  const Schedule schedule({.kind = Kind::cosine, .peak = 0.1, .epochs = 12, .warmup_epochs = 2});
  EXPECT_DOUBLE_EQ(schedule.rate(2), 0.1);
  EXPECT_NEAR(schedule.rate(7), 0.05, 1e-15);
  EXPECT_NEAR(schedule.rate(12), 0, 1e-15);
}

TEST(Schedule, StepsAreFractionsOfAnEpoch) {
  const Schedule schedule({.kind = Kind::piecewise_linear, .knots = {{0, 0}, {2, 1}}});
  EXPECT_DOUBLE_EQ(schedule.rate_at(50, 100), 0.25);
}

TEST(Schedule, RateFollowsTheGlobalBatch) { EXPECT_DOUBLE_EQ(scaled_by_batch(0.1, 512, 128), 0.4); }

TEST(Schedule, RefusesWhatCannotBe) {
  EXPECT_THROW(schedule_kind_from("cosin"), Error);
  EXPECT_THROW(Schedule({.kind = Kind::piecewise_linear}), Error);
  EXPECT_THROW(Schedule({.kind = Kind::piecewise_linear, .knots = {{5, 1}, {5, 0}}}), Error);
  EXPECT_THROW(Schedule({.kind = Kind::step, .milestones = {20, 10}}), Error);
}

}  // namespace
}  // namespace muster::workloads
