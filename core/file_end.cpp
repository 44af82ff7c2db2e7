#include "core/file_end.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace muster {

std::string read_end(const std::filesystem::path& file, std::size_t most) {
  std::ifstream stream(file, std::ios::binary | std::ios::ate);
  if (!stream) return "";
  const auto size = static_cast<std::streamoff>(stream.tellg());
  stream.seekg(std::max<std::streamoff>(0, size - static_cast<std::streamoff>(most)));
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace muster
