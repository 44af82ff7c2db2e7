#pragma once
/// Numbers with their nouns in messages.

#include <cstdint>
#include <string>

namespace muster {

/// "1 rank", "3 ranks".
inline std::string counted(std::int64_t number, const std::string& noun) {
  return std::to_string(number) + " " + noun + (number == 1 ? "" : "s");
}

}  // namespace muster
