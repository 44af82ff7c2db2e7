#include "core/matrix.hpp"

#include <algorithm>
#include <set>

#include "core/nearest_name.hpp"

namespace muster {

std::string sameness(const Value& value) {
  if (value.is_int()) {
    // Integers that no double holds exactly stay apart from each other.
    const auto rounded = static_cast<double>(value.as_int());
    if (rounded < 9e15 && rounded > -9e15) return Value(rounded).canonical();
  }
  if (!value.is_list()) return value.canonical();
  std::string text = "[";
  for (const Value& element : value.as_list()) text += sameness(element) + ", ";
  return text + "]";
}

namespace {

std::string sameness(const Cell& cell) {
  std::string text;
  for (const auto& [key, value] : cell) text += key + " = " + sameness(value) + "\n";
  return text;
}

std::string describe(const Cell& cell) {
  std::string text;
  for (const auto& [key, value] : cell) text += (text.empty() ? "" : ", ") + key + " = " + value.canonical();
  return text.empty() ? "without axes" : text;
}

bool matches(const Cell& pattern, const Cell& cell) {
  return std::all_of(pattern.begin(), pattern.end(), [&](const auto& wanted) {
    const auto found = cell.find(wanted.first);
    return found != cell.end() && sameness(found->second) == sameness(wanted.second);
  });
}

void check_size(const Matrix& matrix, const std::filesystem::path& file) {
  std::size_t count = matrix.zip.empty() ? 1 : matrix.zip.front().values.size();
  const auto multiply = [&](std::size_t by, const SourcePlace& place) {
    if (__builtin_mul_overflow(count, by, &count) || count > kMostCells) {
      throw Error(ExitCode::config, "the matrix has more than " + std::to_string(kMostCells) + " cells",
                  "split the experiment", place.line > 0 ? place : SourcePlace{file});
    }
  };
  for (const Axis& axis : matrix.grid) multiply(axis.values.size(), axis.place);
  for (const Axis& axis : matrix.common) multiply(axis.values.size(), axis.place);
}

std::vector<Cell> product(const Matrix& matrix) {
  std::vector<Cell> cells{{}};
  const auto extend = [&cells](std::size_t count, const auto& set) {
    std::vector<Cell> longer;
    longer.reserve(cells.size() * count);
    for (const Cell& cell : cells) {
      for (std::size_t i = 0; i < count; ++i) {
        longer.push_back(cell);
        set(longer.back(), i);
      }
    }
    cells = std::move(longer);
  };
  for (const std::vector<Axis>* axes : {&matrix.common, &matrix.grid}) {
    for (const Axis& axis : *axes)
      extend(axis.values.size(), [&](Cell& cell, std::size_t i) { cell[axis.key] = axis.values[i]; });
  }
  if (!matrix.zip.empty()) {
    extend(matrix.zip.front().values.size(), [&](Cell& cell, std::size_t i) {
      for (const Axis& axis : matrix.zip) cell[axis.key] = axis.values.at(i);
    });
  }
  return cells;
}

SourcePlace place_at(const std::vector<SourcePlace>& places, std::size_t i,
                     const std::filesystem::path& file) {
  return i < places.size() ? places[i] : SourcePlace{file};
}

void drop_excluded(const Matrix& matrix, const std::filesystem::path& file, std::vector<Cell>& cells) {
  // All patterns look at all cells, so that one exclude does not make another match nothing.
  std::vector<bool> dropped(cells.size(), false);
  for (std::size_t i = 0; i < matrix.exclude.size(); ++i) {
    bool any = false;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      if (!matches(matrix.exclude[i], cells[c])) continue;
      dropped[c] = true;
      any = true;
    }
    if (any) continue;
    std::vector<std::string> axes;
    for (const Axis& axis : matrix.common) axes.push_back(axis.key);
    for (const Axis& axis : matrix.grid) axes.push_back(axis.key);
    for (const Axis& axis : matrix.zip) axes.push_back(axis.key);
    std::string advice = "correct its values, or remove it";
    for (const auto& [key, value] : matrix.exclude[i]) {
      if (std::find(axes.begin(), axes.end(), key) == axes.end())
        advice = "'" + key + "' is no axis: " + name_advice(key, axes, "there are none");
    }
    throw Error(ExitCode::config, "this exclude matches no cell (" + describe(matrix.exclude[i]) + ")",
                advice, place_at(matrix.exclude_places, i, file));
  }
  std::vector<Cell> kept;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    if (!dropped[c]) kept.push_back(std::move(cells[c]));
  }
  cells = std::move(kept);
}

/// The included cell for each combination of the common axes that it does not name.
std::vector<Cell> included(const Matrix& matrix, const Cell& cell) {
  Matrix common;
  for (const Axis& axis : matrix.common) {
    if (!cell.contains(axis.key)) common.common.push_back(axis);
  }
  std::vector<Cell> cells = product(common);
  for (Cell& of_common : cells) of_common.insert(cell.begin(), cell.end());
  return cells;
}

}  // namespace

std::vector<std::string> axis_order(const Matrix& matrix) {
  std::vector<std::string> order;
  const auto add = [&order](const std::string& key) {
    if (std::find(order.begin(), order.end(), key) == order.end()) order.push_back(key);
  };
  for (const std::vector<Axis>* axes : {&matrix.common, &matrix.grid, &matrix.zip}) {
    for (const Axis& axis : *axes) add(axis.key);
  }
  for (const Cell& cell : matrix.include) {
    for (const auto& [key, value] : cell) add(key);
  }
  return order;
}

std::vector<Cell> expand(const Matrix& matrix, const std::filesystem::path& file) {
  check_size(matrix, file);
  std::vector<Cell> cells;
  if (!matrix.grid.empty() || !matrix.zip.empty() || matrix.include.empty()) cells = product(matrix);
  drop_excluded(matrix, file, cells);

  std::set<std::string> seen;
  const auto check_new = [&seen](const Cell& cell, const SourcePlace& place) {
    if (!seen.insert(sameness(cell)).second)
      throw Error(ExitCode::config, "the matrix holds a cell twice: " + describe(cell), "remove one of them",
                  place);
  };
  const SourcePlace axes_place = !matrix.grid.empty()  ? matrix.grid.front().place
                                 : !matrix.zip.empty() ? matrix.zip.front().place
                                                       : SourcePlace{file};
  for (const Cell& cell : cells) check_new(cell, axes_place);
  for (std::size_t i = 0; i < matrix.include.size(); ++i) {
    for (Cell& cell : included(matrix, matrix.include[i])) {
      check_new(cell, place_at(matrix.include_places, i, file));
      cells.push_back(std::move(cell));
    }
  }
  if (cells.empty())
    throw Error(ExitCode::config, "nothing is left of the matrix", "exclude less",
                place_at(matrix.exclude_places, 0, file));
  return cells;
}

}  // namespace muster
