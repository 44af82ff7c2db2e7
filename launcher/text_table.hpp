#pragma once
/// Columns for a person to read.

#include <string>
#include <vector>

namespace muster {

/// Columns of numbers are set to the right. Widths count characters of UTF-8 text.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) : header_(std::move(header)) {}

  /// A cell a column.
  void add_row(std::vector<std::string> row);

  /// Header and rows, each line ended.
  std::string text() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace muster
