/// Following files that grow: lines, progress, the run's log.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "launcher/gang_progress.hpp"
#include "launcher/line_follower.hpp"
#include "launcher/run_log.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Follow : public ::testing::Test {
 protected:
  void append(const std::string& text) { std::ofstream(file_, std::ios::app | std::ios::binary) << text; }

  testing::TemporaryFolder root_;
  std::filesystem::path file_ = root_ / "file";
};

TEST_F(Follow, LinesComeOnceAndWhole) {
  LineFollower lines(file_);
  EXPECT_THAT(lines.read(), IsEmpty());
  append("one\ntw");
  EXPECT_THAT(lines.read(), ElementsAre("one"));
  EXPECT_THAT(lines.read(), IsEmpty());
  append("o\n\nthree");
  EXPECT_THAT(lines.read(), ElementsAre("two", ""));
  EXPECT_THAT(lines.finish(), ElementsAre("three"));
  EXPECT_THAT(lines.finish(), IsEmpty());
}

TEST_F(Follow, ProgressBarIsItsLastText) {
  LineFollower lines(file_);
  append("10%\r50%\r100%\ndos line\r\n");
  EXPECT_THAT(lines.read(), ElementsAre("100%", "dos line"));
}

TEST_F(Follow, FloodComesInPartsAndAll) {
  std::string flood;
  for (int line = 0; line < 300000; ++line) flood += "line " + std::to_string(line) + "\n";
  append(flood);
  LineFollower lines(file_);
  const auto first = lines.read();
  EXPECT_LT(first.size(), 300000u);
  const auto rest = lines.finish();
  EXPECT_EQ(first.size() + rest.size(), 300000u);
  EXPECT_EQ(rest.back(), "line 299999");
}

TEST_F(Follow, LineWithoutEndDoesNotGrowForEver) {
  append(std::string(200000, 'x'));
  LineFollower lines(file_);
  EXPECT_THAT(lines.read(), ::testing::SizeIs(1));
}

TEST_F(Follow, ProgressTellsStepsAndTimeLeft) {
  GangProgress progress(file_);
  EXPECT_EQ(progress.text(), "");
  append(
      "{\"time\":100,\"event\":\"resumed\",\"step\":50,\"total_steps\":100,\"note\":\"\"}\n"
      "{\"time\":101,\"event\":\"progress\",\"step\":60,\"total_steps\":100,\"note\":\"epoch 2/3 \"}\n");
  EXPECT_TRUE(progress.poll());
  EXPECT_FALSE(progress.poll());
  EXPECT_EQ(progress.text(), "60/100 60% epoch 2/3");
  append("{\"time\":103,\"event\":\"progress\",\"step\":80,\"total_steps\":100}\n{\"torn");
  progress.poll();
  // 20 steps took 2 s since the first sight of this attempt; what was resumed does not count.
  EXPECT_EQ(progress.text(), "80/100 80% epoch 2/3, 0:02 left");
}

TEST_F(Follow, NonsenseInEventsIsPassedOver) {
  GangProgress progress(file_);
  append(
      "nonsense\n[1]\n{\"event\":7,\"step\":\"x\"}\n{\"event\":\"progress\",\"step\":1,\"total_steps\":2}\n");
  progress.poll();
  EXPECT_EQ(progress.step(), 1);
}

TEST_F(Follow, RunLogKnowsHowManyLinesOfAnAttemptItHas) {
  Console console(1, Console::Mode::quiet);
  {
    RunLog log(file_, console);
    EXPECT_EQ(log.lines_of_attempt("task-1-a", 1), -1);
    log.begin_attempt("task-1-a", 1, "here");
    log.task_lines("task-1-a", {"x", "y"});
    log.task_lines("task-1-ab", {"another's"});
    log.begin_attempt("task-1-a", 2, "there");
    log.task_lines("task-1-a", {"z"});
    log.note("a note");
  }
  append("[task-1-a] to");  // a launcher was killed while it wrote
  RunLog log(file_, console);
  EXPECT_EQ(log.lines_of_attempt("task-1-a", 2), 1);
  EXPECT_EQ(log.lines_of_attempt("task-1-a", 1), 2);
  log.task_lines("task-1-a", {"torn no more"});
  EXPECT_THAT(testing::text_of(file_), ::testing::EndsWith("a note\n[task-1-a] torn no more\n"));
}

TEST(DurationText, ReadsLikeAClock) {
  EXPECT_EQ(duration_text(7.4), "0:07");
  EXPECT_EQ(duration_text(123), "2:03");
  EXPECT_EQ(duration_text(3723), "1:02:03");
  EXPECT_EQ(duration_text(-1), "0:00");
}

}  // namespace
}  // namespace muster
