#include "core/index_file.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/mapped_file.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kVersionEnd = 8;  // the magic, major, minor
constexpr std::size_t kAlignment = 64;  // of the numbers in a .npy that NumPy writes
constexpr const char* kSaveAgain = "save it again: numpy.save(file, indices.astype(numpy.int64).ravel())";

[[noreturn]] void refuse(const fs::path& file, const std::string& why, const std::string& advice,
                         int line = 0) {
  throw Error(ExitCode::data, why, advice, SourcePlace{file, line});
}

/// The header of a .npy: a Python dictionary with three keys, read as such and never evaluated.
class NpyHeader {
 public:
  NpyHeader(std::string_view text, const fs::path& file) : rest_(text), file_(file) {
    expect('{');
    while (!take('}')) {
      const std::string key = quoted();
      expect(':');
      read(key);
      if (take(',')) continue;
      expect('}');
      break;
    }
    skip_spaces();
    if (!rest_.empty()) damaged();
    if (!type_ || !column_major_ || !shape_) damaged();
  }

  const std::string& type() const { return *type_; }
  const std::vector<std::uint64_t>& shape() const { return *shape_; }

 private:
  [[noreturn]] void damaged() const { refuse(file_, "its .npy header is damaged", kSaveAgain); }

  void skip_spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }
  bool take(char c) {
    skip_spaces();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void expect(char c) {
    if (!take(c)) damaged();
  }
  bool take_word(std::string_view word) {
    skip_spaces();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  std::string quoted() {
    const char quote = take('\'') ? '\'' : '"';
    if (quote == '"') expect('"');
    const std::size_t end = rest_.find(quote);
    if (end == std::string_view::npos) damaged();
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::vector<std::uint64_t> extents() {
    expect('(');
    std::vector<std::uint64_t> extents;
    while (!take(')')) {
      skip_spaces();
      std::uint64_t extent = 0;
      const auto [end, problem] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), extent);
      if (problem != std::errc()) damaged();
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      extents.push_back(extent);
      if (take(',')) continue;
      expect(')');
      break;
    }
    return extents;
  }

  void read(const std::string& key) {
    if (key == "descr" && !type_) {
      if (take('[')) refuse(file_, "it holds records, not plain numbers", kSaveAgain);
      type_ = quoted();
    } else if (key == "fortran_order" && !column_major_) {
      column_major_ = take_word("True");
      if (!*column_major_ && !take_word("False")) damaged();
    } else if (key == "shape" && !shape_) {
      shape_ = extents();
    } else {
      damaged();
    }
  }

  std::string_view rest_;
  const fs::path& file_;
  std::optional<std::string> type_;
  std::optional<bool> column_major_;  // the same thing in one dimension
  std::optional<std::vector<std::uint64_t>> shape_;
};

std::vector<std::int64_t> read_npy(const fs::path& file) {
  const MappedFile mapped(file);
  const std::string_view bytes(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  if (!bytes.starts_with(kMagic)) refuse(file, "it is no .npy file", kSaveAgain);
  const auto major = bytes.size() < kVersionEnd ? 0 : static_cast<unsigned char>(bytes[kMagic.size()]);
  if (major < 1 || major > 3) refuse(file, "it is of an unknown .npy version, or cut short", kSaveAgain);
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::uint32_t length = 0;
  const std::size_t begin = kVersionEnd + length_bytes;
  if (bytes.size() < begin) refuse(file, "it ends within its header", kSaveAgain);
  std::memcpy(&length, bytes.data() + kVersionEnd, length_bytes);
  if (length > bytes.size() - begin) refuse(file, "it ends within its header", kSaveAgain);

  const NpyHeader header(bytes.substr(begin, length), file);
  if (header.type() != "<i8") {
    refuse(file, "its numbers are of the type '" + header.type() + "' (indices are int64, '<i8')",
           kSaveAgain);
  }
  if (header.shape().size() != 1) {
    refuse(file,
           "it has " + std::to_string(header.shape().size()) + " dimensions (a list of indices has one)",
           kSaveAgain);
  }
  const std::string_view numbers = bytes.substr(begin + length);
  const std::uint64_t promised = header.shape().front();
  if (numbers.size() / sizeof(std::int64_t) < promised) {
    refuse(file,
           "it ends after " + std::to_string(numbers.size() / sizeof(std::int64_t)) + " of its " +
               std::to_string(promised) + " numbers",
           "copy or save it again");
  }
  if (numbers.size() != promised * sizeof(std::int64_t)) {
    refuse(file, "it goes on after its " + std::to_string(promised) + " numbers", "copy or save it again");
  }
  std::vector<std::int64_t> result(promised);
  if (!result.empty()) std::memcpy(result.data(), numbers.data(), numbers.size());
  return result;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::vector<std::int64_t> read_lines(const fs::path& file) {
  const MappedFile mapped(file);
  std::string_view rest(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size());
  std::vector<std::int64_t> result;
  for (int line = 1; !rest.empty(); ++line) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view text = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (text.empty()) continue;
    std::int64_t number = 0;
    const auto [stop, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc() || stop != text.data() + text.size()) {
      refuse(file, "this line is no index",
             "write one whole number a line: numpy.savetxt(file, indices, '%d')", line);
    }
    result.push_back(number);
  }
  return result;
}

[[noreturn]] void refuse_name(const fs::path& file) {
  refuse(file, "indices are in files that end in .npy or .txt", "rename or convert it");
}

/// The header that numpy.save writes for so many int64.
std::string npy_header(std::size_t count) {
  std::string dictionary =
      "{'descr': '<i8', 'fortran_order': False, 'shape': (" + std::to_string(count) + ",), }";
  const std::size_t bare = kVersionEnd + 2 + dictionary.size() + 1;
  dictionary.append((kAlignment - bare % kAlignment) % kAlignment, ' ');
  dictionary += '\n';
  std::string header(kMagic);
  header +=
      {'\1', '\0', static_cast<char>(dictionary.size() & 0xFF), static_cast<char>(dictionary.size() >> 8)};
  return header + dictionary;
}

}  // namespace

std::vector<std::int64_t> read_indices(const fs::path& file, std::int64_t count) {
  MUSTER_ASSERT(count >= 0);
  if (file.extension() != ".npy" && file.extension() != ".txt") refuse_name(file);
  std::vector<std::int64_t> indices = file.extension() == ".npy" ? read_npy(file) : read_lines(file);
  std::vector<bool> seen(static_cast<std::size_t>(count), false);
  for (const std::int64_t index : indices) {
    if (index < 0 || index >= count) {
      refuse(file,
             "index " + std::to_string(index) + " is outside of the " + std::to_string(count) +
                 " samples that there are",
             "indices count from 0; give the data set that the file was made for");
    }
    if (seen[static_cast<std::size_t>(index)]) {
      refuse(file, "index " + std::to_string(index) + " is there twice", "list each index once");
    }
    seen[static_cast<std::size_t>(index)] = true;
  }
  return indices;
}

void write_indices(const fs::path& file, std::span<const std::int64_t> indices) {
  std::string text;
  if (file.extension() == ".npy") {
    text = npy_header(indices.size());
    text.append(reinterpret_cast<const char*>(indices.data()), indices.size_bytes());
  } else if (file.extension() == ".txt") {
    for (const std::int64_t index : indices) text += std::to_string(index) + "\n";
  } else {
    refuse_name(file);
  }
  write_durably(file, text);
}

}  // namespace muster
