#include "core/weights/zip_entries.hpp"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kLocalHeader = 0x04034b50;
constexpr std::uint32_t kDirectoryHeader = 0x02014b50;
constexpr std::uint32_t kDirectoryEnd = 0x06054b50;
constexpr std::uint32_t kDirectoryEnd64 = 0x06064b50;
constexpr std::uint32_t kLocator64 = 0x07064b50;
constexpr std::uint64_t kDirectoryEndSize = 22;
constexpr std::uint64_t kLocatorSize = 20;
constexpr std::uint64_t kDirectoryEnd64Size = 56;
constexpr std::uint64_t kLocalHeaderSize = 30;
constexpr std::uint64_t kLongestComment = 0xffff;

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
  throw Error(ExitCode::data, "not a whole zip file: " + why, "write or download it again",
              SourcePlace{file});
}

/// Reads numbers one after the other; leaving the bytes is an error.
class Reader {
 public:
  Reader(const fs::path& file, Bytes bytes, std::uint64_t at) : file_(file), bytes_(bytes), at_(at) {
    if (at > bytes.size()) refuse(file_, "it ends early");
  }
  template <class T>
  T number() {
    T value{};
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  Bytes take(std::uint64_t count) {
    if (count > bytes_.size() - at_) refuse(file_, "it ends early");
    const Bytes taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }
  void skip(std::uint64_t count) { take(count); }
  std::uint64_t at() const { return at_; }
  bool at_end() const { return at_ == bytes_.size(); }

 private:
  const fs::path& file_;
  Bytes bytes_;
  std::uint64_t at_;
};

std::uint32_t signature_at(Bytes bytes, std::uint64_t at) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

struct Directory {
  std::uint64_t count = 0;
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
};

/// Where the archive's directory lies; the record stands at the end, before a comment at the most.
Directory find_directory(Bytes archive, const fs::path& file) {
  if (archive.size() < kDirectoryEndSize) refuse(file, "it is shorter than an empty one");
  std::uint64_t end = archive.size() - kDirectoryEndSize;
  const std::uint64_t first = end > kLongestComment ? end - kLongestComment : 0;
  while (signature_at(archive, end) != kDirectoryEnd) {
    if (end == first) refuse(file, "its directory is missing, so it is cut, or no zip file");
    --end;
  }
  Reader record(file, archive, end + 4);
  const auto disk = record.number<std::uint16_t>();
  const auto directory_disk = record.number<std::uint16_t>();
  const auto count_here = record.number<std::uint16_t>();
  Directory directory;
  directory.count = record.number<std::uint16_t>();
  directory.size = record.number<std::uint32_t>();
  directory.offset = record.number<std::uint32_t>();
  if (disk != 0 || directory_disk != 0 || count_here != directory.count)
    refuse(file, "it is a part of several");
  std::uint64_t limit = end;
  if (end >= kLocatorSize && signature_at(archive, end - kLocatorSize) == kLocator64) {
    Reader locator(file, archive, end - kLocatorSize + 8);
    const auto at = locator.number<std::uint64_t>();
    Reader record64(file, archive, std::min<std::uint64_t>(at, archive.size()));
    if (record64.number<std::uint32_t>() != kDirectoryEnd64) refuse(file, "its 64-bit directory is missing");
    record64.skip(kDirectoryEnd64Size - 4 - 24);
    directory.count = record64.number<std::uint64_t>();
    directory.size = record64.number<std::uint64_t>();
    directory.offset = record64.number<std::uint64_t>();
    limit = at;
  }
  if (directory.offset > limit || directory.size > limit - directory.offset)
    refuse(file, "its directory leaves the file");
  return directory;
}

struct Listed {
  std::string name;
  std::uint64_t size = 0;
  std::uint64_t header = 0;  ///< where its local header begins
  std::uint32_t crc32 = 0;
};

/// Values of 0xffffffff stand, as 64 bits and in this order, in the extra field of kind 1.
void widen(const fs::path& file, Bytes extra, const std::vector<std::uint64_t*>& values) {
  Reader reader(file, extra, 0);
  while (!reader.at_end()) {
    const auto kind = reader.number<std::uint16_t>();
    const Bytes field = reader.take(reader.number<std::uint16_t>());
    if (kind != 1) continue;
    Reader wide(file, field, 0);
    for (std::uint64_t* value : values) {
      if (*value == 0xffffffff) *value = wide.number<std::uint64_t>();
    }
    return;
  }
}

Listed read_listed(const fs::path& file, Reader& reader) {
  if (reader.number<std::uint32_t>() != kDirectoryHeader) refuse(file, "its directory is damaged");
  reader.skip(4);
  const auto flags = reader.number<std::uint16_t>();
  const auto method = reader.number<std::uint16_t>();
  reader.skip(4);
  Listed entry;
  entry.crc32 = reader.number<std::uint32_t>();
  std::uint64_t packed = reader.number<std::uint32_t>();
  entry.size = reader.number<std::uint32_t>();
  const auto name_size = reader.number<std::uint16_t>();
  const auto extra_size = reader.number<std::uint16_t>();
  const auto comment_size = reader.number<std::uint16_t>();
  reader.skip(8);
  entry.header = reader.number<std::uint32_t>();
  const Bytes name = reader.take(name_size);
  entry.name.assign(reinterpret_cast<const char*>(name.data()), name.size());
  widen(file, reader.take(extra_size), {&entry.size, &packed, &entry.header});
  reader.skip(comment_size);
  if ((flags & 1) != 0) refuse(file, "'" + entry.name + "' in it is encrypted");
  if (method != 0 || packed != entry.size)
    throw Error(ExitCode::data, "'" + entry.name + "' in it is compressed, which torch.save never does",
                "write it with torch.save, or as .safetensors", SourcePlace{file});
  return entry;
}

struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

/// The entry's bytes, and all that it takes up with its header.
std::pair<Bytes, Extent> locate(const fs::path& file, Bytes archive, const Directory& directory,
                                const Listed& entry) {
  if (entry.header > directory.offset) refuse(file, "'" + entry.name + "' lies behind the directory");
  Reader reader(file, archive.first(directory.offset), entry.header);
  if (reader.number<std::uint32_t>() != kLocalHeader) refuse(file, "'" + entry.name + "' has no header");
  reader.skip(kLocalHeaderSize - 4 - 4);
  const auto name_size = reader.number<std::uint16_t>();
  const auto extra_size = reader.number<std::uint16_t>();
  const Bytes name = reader.take(name_size);
  if (std::string_view(reinterpret_cast<const char*>(name.data()), name.size()) != entry.name)
    refuse(file, "'" + entry.name + "' has another name in its header");
  reader.skip(extra_size);
  const Bytes bytes = reader.take(entry.size);
  return {bytes, {entry.header, reader.at()}};
}

}  // namespace

std::map<std::string, ZipEntry> read_zip_entries(Bytes archive, const fs::path& file) {
  const Directory directory = find_directory(archive, file);
  Reader reader(file, archive.first(directory.offset + directory.size), directory.offset);
  std::map<std::string, ZipEntry> entries;
  std::vector<Extent> extents;
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    const Listed listed = read_listed(file, reader);
    const auto [bytes, extent] = locate(file, archive, directory, listed);
    extents.push_back(extent);
    if (!entries.emplace(listed.name, ZipEntry{bytes, listed.crc32}).second)
      refuse(file, "'" + listed.name + "' is there twice");
  }
  if (!reader.at_end()) refuse(file, "its directory has another length than it says");
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return a.begin < b.begin; });
  for (std::size_t i = 1; i < extents.size(); ++i) {
    if (extents[i].begin < extents[i - 1].end) refuse(file, "entries overlap");
  }
  return entries;
}

void check_crc(const std::string& name, const ZipEntry& entry, const fs::path& file) {
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION  // Else a fuzzer never gets past it.
  const auto* bytes = reinterpret_cast<const Bytef*>(entry.bytes.data());
  if (crc32_z(0, bytes, entry.bytes.size()) != entry.crc32)
    throw Error(ExitCode::data, "'" + name + "' in it was changed: its checksum is wrong",
                "download it again; if torch wrote it with set_crc32_options(False), write it without",
                SourcePlace{file});
#else
  static_cast<void>(name), static_cast<void>(entry), static_cast<void>(file);
#endif
}

}  // namespace muster
