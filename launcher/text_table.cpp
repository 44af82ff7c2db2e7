#include "launcher/text_table.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace muster {

namespace {

std::size_t width_of(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(
      text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

bool is_number(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789.+-eE%x") == std::string::npos &&
         text.find_first_of("0123456789") != std::string::npos;
}

}  // namespace

void TextTable::add_row(std::vector<std::string> row) {
  MUSTER_ASSERT(row.size() == header_.size());
  rows_.push_back(std::move(row));
}

std::string TextTable::text() const {
  std::vector<std::size_t> widths;
  std::vector<bool> numeric;
  for (std::size_t column = 0; column < header_.size(); ++column) {
    widths.push_back(width_of(header_[column]));
    bool all_numbers = !rows_.empty();
    for (const auto& row : rows_) {
      widths[column] = std::max(widths[column], width_of(row[column]));
      all_numbers = all_numbers && (row[column].empty() || row[column] == "-" || is_number(row[column]));
    }
    numeric.push_back(all_numbers);
  }
  std::string text;
  const auto add_line = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t column = 0; column < row.size(); ++column) {
      const std::string blanks(widths[column] - width_of(row[column]), ' ');
      if (column > 0) line += "  ";
      line += numeric[column] ? blanks + row[column] : row[column] + blanks;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  };
  add_line(header_);
  for (const auto& row : rows_) add_line(row);
  return text;
}

}  // namespace muster
