#include "core/value.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "core/toml_node.hpp"
#include "tests/support/error_of.hpp"

namespace muster {
namespace {

using testing::error_of;

TEST(Value, IsCanonicalInShortestForm) {
  EXPECT_EQ(Value(0.1).canonical(), "0.1");
  EXPECT_EQ(Value(1.0).canonical(), "1.0");
  EXPECT_EQ(Value(1).canonical(), "1");
  EXPECT_EQ(Value(5e-4).canonical(), "5e-04");
  EXPECT_EQ(Value(1e22).canonical(), "1e+22");
  EXPECT_EQ(Value(true).canonical(), "true");
  EXPECT_EQ(Value("a\"b\\c\n\x01").canonical(), R"("a\"b\\c\n\u0001")");
  EXPECT_EQ(Value(Value::List{1, 2}).canonical(), "[1, 2]");
  EXPECT_EQ(Value(Value::List{}).canonical(), "[]");
  EXPECT_EQ(Value(std::numeric_limits<double>::infinity()).canonical(), "inf");
}

TEST(Value, NegativeZeroIsZero) {
  ASSERT_EQ(Value(-0.0), Value(0.0));
  EXPECT_EQ(Value(-0.0).canonical(), Value(0.0).canonical());
}

TEST(Value, NeverSpellsAFloatLikeAnInteger) {
  for (const double number : {1.0, 0.0, 123456.0, 1e15, 9007199254740993.0, -4.0}) {
    EXPECT_NE(Value(number).canonical().find_first_of(".e"), std::string::npos) << number;
  }
}

/// Every value must come back from its text the same, since task.toml holds nothing else.
Value back(const Value& value) {
  return to_value(parse_toml("x = " + value.canonical(), "t.toml").items.at(0));
}

TEST(Value, ComesBackFromItsCanonicalText) {
  for (const Value& value :
       {Value(true), Value(-7), Value(std::numeric_limits<std::int64_t>::min()),
        Value(std::numeric_limits<std::int64_t>::max()), Value(0.1),
        Value(std::numeric_limits<double>::infinity()), Value(-std::numeric_limits<double>::infinity()),
        Value(std::numeric_limits<double>::denorm_min()),
        Value("tab\t newline\n bell\x07 delete\x7f quote\" umlaut ü"), Value(""), Value(Value::List{}),
        Value(Value::List{"a", "b"}), Value(Value::List{Value::List{1}, Value::List{2, 3}})}) {
    EXPECT_EQ(back(value), value) << value.canonical();
  }
}

TEST(Value, EveryFiniteDoubleComesBackFromItsCanonicalText) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 20'000; ++i) {
    const auto number = std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    ASSERT_EQ(back(number).as_float(), number) << Value(number).canonical();
  }
}

TEST(Value, TextIsForArguments) {
  EXPECT_EQ(Value("a b").text(), "a b");
  EXPECT_EQ(Value(0.1).text(), "0.1");
  EXPECT_EQ(Value(Value::List{"a"}).text(), "[\"a\"]");
}

TEST(Value, RefusesToBeReadAsAnotherKind) {
  EXPECT_EQ(
      error_of(ExitCode::internal, [] { Value("x").as_int(); }),
      "a parameter is read as an integer but holds the string \"x\"; the workload's schema and the code that "
      "reads the parameter disagree");
  error_of(ExitCode::internal, [] { Value(1.5).as_int(); });
  error_of(ExitCode::internal, [] { Value(1).as_bool(); });
  error_of(ExitCode::internal, [] { Value(1).as_string(); });
  error_of(ExitCode::internal, [] { Value(true).as_float(); });
  error_of(ExitCode::internal, [] { Value("x").as_list(); });
  EXPECT_EQ(Value(3).as_float(), 3.0);
}

}  // namespace
}  // namespace muster
