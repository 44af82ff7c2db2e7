#include "core/command_template.hpp"

#include <gtest/gtest.h>

namespace muster {
namespace {

using Words = std::vector<std::string>;

TEST(CommandTemplate, FillsInParameters) {
  const Parameters parameters = {
      {"lr", 0.1}, {"exchange.algorithm", "ring"}, {"name", "a b; rm"}, {"flag", true}};
  EXPECT_EQ(fill_command({"train", "--lr={lr}", "{exchange.algorithm}{lr}", "{name}", "{flag}"}, parameters),
            (Words{"train", "--lr=0.1", "ring0.1", "a b; rm", "true"}));
}

TEST(CommandTemplate, LeavesOtherBracesAlone) {
  const Words words = {"{}", "{a b}", "{\"json\": {}}", "${HOME", "}{", "{", "{{", "{{a}", "x{", "{a"};
  Words filled = words;
  filled[7] = "{1";
  EXPECT_EQ(fill_command(words, {{"a", 1}}), filled);
}

TEST(CommandTemplate, DoubledBracesAreTheBracesThemselves) {
  EXPECT_EQ(fill_command({"{{lr}} {lr}"}, {{"lr", 1}}), Words{"{lr} 1"});
  EXPECT_TRUE(placeholders("{{lr}}").empty());
}

TEST(CommandTemplate, AValueIsNotLookedThroughForPlaceholders) {
  EXPECT_EQ(fill_command({"{a}"}, {{"a", "{b}"}}), Words{"{b}"});
}

TEST(CommandTemplate, NamesItsPlaceholdersInOrder) {
  EXPECT_EQ(placeholders("{b}-{a}{b} { } {x y}"), (Words{"b", "a", "b"}));
}

}  // namespace
}  // namespace muster
