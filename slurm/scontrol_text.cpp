#include "slurm/scontrol_text.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

namespace muster {

std::string scontrol_value(std::string_view line, std::string_view key) {
  const std::string begin = std::string(key) + "=";
  std::size_t at = line.find(begin);
  while (at != std::string_view::npos && at > 0 && line[at - 1] != ' ') at = line.find(begin, at + 1);
  if (at == std::string_view::npos) return "";
  const std::string_view rest = line.substr(at + begin.size());
  const std::string_view value = rest.substr(0, rest.find_first_of(" \n"));
  if (value == "(null)" || value == "N/A" || value == "n/a") return "";
  return std::string(value);
}

int leading_number(std::string_view text, int fallback) {
  int value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return result.ec == std::errc() ? value : fallback;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end != 0) lines.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  }
  return lines;
}

std::vector<std::string> split_outside_brackets(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : text) {
    if (c == '[' || c == '(') ++depth;
    if ((c == ']' || c == ')') && depth > 0) --depth;
    if (c == separator && depth == 0) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

}  // namespace muster
