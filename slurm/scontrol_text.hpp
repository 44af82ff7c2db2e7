#pragma once
/// Lines of `scontrol -o`: `KEY=value KEY=value`, where a value may hold spaces.

#include <string>
#include <string_view>
#include <vector>

namespace muster {

/// The value of `key` up to the next space; empty where it is missing or Slurm says that it is none.
std::string scontrol_value(std::string_view line, std::string_view key);

/// Leading digits as a number; `fallback` where there are none.
int leading_number(std::string_view text, int fallback = 0);

std::vector<std::string> lines_of(std::string_view text);
/// Splits at `separator`, but not inside of brackets or parentheses; empty parts are kept.
std::vector<std::string> split_outside_brackets(std::string_view text, char separator);
std::string lower_case(std::string_view text);

}  // namespace muster
