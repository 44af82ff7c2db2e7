#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>

#include "results/csv_row_sink.hpp"

namespace muster {
namespace {

TEST(CsvNumber, ShowsWhetherAColumnIsInteger) {
  EXPECT_EQ(csv_number(std::int64_t{-3}), "-3");
  EXPECT_EQ(csv_number(3.0), "3.0");
  EXPECT_EQ(csv_number(-0.0), "-0.0");
  EXPECT_EQ(csv_number(1e300), "1e+300");
  EXPECT_EQ(csv_number(0.1), "0.1");
}

TEST(CsvNumber, SpellsNonNumbersAsPandasReadsThem) {
  const double infinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(csv_number(std::numeric_limits<double>::quiet_NaN()), "nan");
  EXPECT_EQ(csv_number(infinity), "inf");
  EXPECT_EQ(csv_number(-infinity), "-inf");
}

TEST(CsvNumber, ReadsBackToTheSameBits) {
  std::mt19937_64 bits(7);
  for (int i = 0; i < 20000; ++i) {
    const double number = std::bit_cast<double>(bits());
    if (std::isnan(number)) continue;
    const double back = std::strtod(csv_number(number).c_str(), nullptr);
    ASSERT_EQ(std::bit_cast<std::uint64_t>(back), std::bit_cast<std::uint64_t>(number)) << csv_number(number);
  }
}

TEST(CsvField, QuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(csv_field("resnet9"), "resnet9");
  EXPECT_EQ(csv_field("[1, 2]"), "\"[1, 2]\"");
  EXPECT_EQ(csv_field("a \"b\""), "\"a \"\"b\"\"\"");
}

}  // namespace
}  // namespace muster
