#pragma once
/// Lines of a log.

#include <cstdio>
#include <string>

namespace muster::workloads {

/// As printf, up to 255 characters.
std::string formatted(const char* format, auto... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

}  // namespace muster::workloads
