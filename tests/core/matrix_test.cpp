#include "core/matrix.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace muster {
namespace {

TEST(Matrix, TheLastGridAxisVariesFastestAndZipRowsInnermost) {
  Matrix matrix;
  matrix.grid = {{"a", {1, 2}, {}}, {"b", {"x", "y"}, {}}};
  matrix.zip = {{"c", {10, 20}, {}}, {"d", {0.5, 0.25}, {}}};
  std::string order;
  for (const Cell& cell : expand(matrix, "m.toml")) {
    order +=
        cell.at("a").text() + cell.at("b").text() + cell.at("c").text() + ":" + cell.at("d").text() + " ";
  }
  EXPECT_EQ(order, "1x10:0.5 1x20:0.25 1y10:0.5 1y20:0.25 2x10:0.5 2x20:0.25 2y10:0.5 2y20:0.25 ");
}

TEST(Matrix, IncludesAloneAreAllThereIs) {
  Matrix matrix;
  matrix.include = {{{"seed", 1}}, {{"seed", 2}, {"lr", 0.1}}};
  EXPECT_EQ(expand(matrix, "m.toml"), matrix.include);
}

TEST(Matrix, AnIncludeMayBringBackWhatWasExcluded) {
  Matrix matrix;
  matrix.grid = {{"a", {1, 2}, {}}};
  matrix.exclude = {{{"a", 1.0}}};
  matrix.include = {{{"a", 1}}};
  EXPECT_EQ(expand(matrix, "m.toml"), (std::vector<Cell>{{{"a", 2}}, {{"a", 1}}}));
}

TEST(Matrix, ExcludesMayOverlap) {
  Matrix matrix;
  matrix.grid = {{"a", {1, 2}, {}}, {"b", {1, 2}, {}}};
  matrix.exclude = {{{"a", 1}}, {{"b", 1}}, {{"a", 1}, {"b", 1}}};
  EXPECT_EQ(expand(matrix, "m.toml"), (std::vector<Cell>{{{"a", 2}, {"b", 2}}}));
}

TEST(Matrix, HasTheProductLessTheExcludedWithoutDoubles) {
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    Matrix matrix;
    std::size_t product = 1;
    const std::size_t axes = 1 + random() % 3;
    for (std::size_t axis = 0; axis < axes; ++axis) {
      std::vector<Value> values;
      const int count = 1 + static_cast<int>(random() % 4);
      for (int i = 0; i < count; ++i) values.emplace_back(i);
      product *= values.size();
      matrix.grid.push_back({"axis" + std::to_string(axis), values, {}});
    }
    const std::size_t zip_rows = random() % 3;
    if (zip_rows > 0) {
      std::vector<Value> values;
      for (std::size_t i = 0; i < zip_rows; ++i) values.emplace_back(static_cast<int>(i));
      matrix.zip = {{"z0", values, {}}, {"z1", values, {}}};
      product *= zip_rows;
    }
    std::size_t excluded = 0;
    if (product > matrix.grid[0].values.size() && matrix.grid[0].values.size() > 1) {
      matrix.exclude = {{{"axis0", 0}}};
      excluded = product / matrix.grid[0].values.size();
    }
    const std::vector<Cell> cells = expand(matrix, "m.toml");
    ASSERT_EQ(cells.size(), product - excluded);
    std::set<std::string> texts;
    for (const Cell& cell : cells) {
      std::string text;
      for (const auto& [key, value] : cell) text += key + value.canonical() + " ";
      texts.insert(text);
      if (zip_rows > 0) {
        ASSERT_EQ(cell.at("z0"), cell.at("z1"));
      }
    }
    ASSERT_EQ(texts.size(), cells.size());
  }
}

}  // namespace
}  // namespace muster
