#include "launcher/command_output.hpp"

#include <cstdio>

namespace muster {

std::string first_line_of(const std::string& command) {
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return "";
  std::string text;
  for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) text += static_cast<char>(c);
  return pclose(pipe) == 0 ? text.substr(0, text.find('\n')) : "";
}

}  // namespace muster
