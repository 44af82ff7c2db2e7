#include "launcher/text_table.hpp"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace muster
