#pragma once
/// What a command of the shell's prints.

#include <string>

namespace muster {

/// The first line, without its end; "" where the command fails or prints nothing.
std::string first_line_of(const std::string& command);

}  // namespace muster
