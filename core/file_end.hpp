#pragma once
/// The end of a file that may be long, such as a log.

#include <cstddef>
#include <filesystem>
#include <string>

namespace muster {

/// The last bytes, `most` at most, which may begin in mid-line; empty where the file cannot be read.
std::string read_end(const std::filesystem::path& file, std::size_t most);

}  // namespace muster
