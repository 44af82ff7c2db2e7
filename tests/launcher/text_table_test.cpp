#include "launcher/text_table.hpp"

#include <gtest/gtest.h>

#include "launcher/tasks_text.hpp"

namespace muster {
namespace {

TEST(TextTable, SetsNumbersToTheRightAndTextToTheLeft) {
  TextTable table({"name", "n", "share"});
  table.add_row({"a", "1", "12.5%"});
  table.add_row({"long", "100", "-"});
  EXPECT_EQ(table.text(),
            "name    n  share\n"
            "a       1  12.5%\n"
            "long  100      -\n");
}

TEST(TextTable, CountsCharactersNotBytes) {
  TextTable table({"a", "b"});
  table.add_row({"üü", "x"});
  table.add_row({"xxx", "y"});
  EXPECT_EQ(table.text(), "a    b\nüü   x\nxxx  y\n");
}

TEST(TextTable, WithoutRowsIsItsHeader) { EXPECT_EQ(TextTable({"a", "b"}).text(), "a  b\n"); }

TEST(TasksText, NamesRangesAndCountsTheRest) {
  EXPECT_EQ(tasks_text({}), "");
  EXPECT_EQ(tasks_text({3}), "task-3");
  EXPECT_EQ(tasks_text({5, 4}), "task-4, task-5");
  EXPECT_EQ(tasks_text({0, 4, 5, 6}), "task-0, task-4 to task-6");
  EXPECT_EQ(tasks_text({1, 3, 5, 7, 9, 10}), "task-1, task-3, task-5, task-7 and 2 more");
}

}  // namespace
}  // namespace muster
