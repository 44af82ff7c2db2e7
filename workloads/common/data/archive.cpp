#include "workloads/common/data/archive.hpp"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "core/error.hpp"

namespace muster::workloads {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kTarBlock = 512;

[[noreturn]] void refuse(const fs::path& file, const std::string& why) {
  throw Error(ExitCode::data, "cannot read '" + file.string() + "': " + why,
              "fetch the file again; `tar -tf` must list it whole");
}

// zlib's gz layer hands plain files through unchanged, so .tar needs no case of its own.
class Reader {
 public:
  explicit Reader(const fs::path& file) : file_(file), handle_(gzopen(file.c_str(), "rb"), gzclose) {
    if (!handle_) refuse(file, std::strerror(errno));
    gzbuffer(handle_.get(), 1 << 18);
  }

  // False at a clean end; a part of what was asked for is an error.
  bool read(std::uint8_t* out, std::size_t count) {
    std::size_t have = 0;
    while (have < count) {
      const auto chunk = static_cast<unsigned>(std::min<std::size_t>(count - have, 1U << 30));
      const int got = gzread(handle_.get(), out + have, chunk);
      if (got < 0) refuse(file_, "the compressed data are damaged");
      if (got == 0) break;
      have += static_cast<std::size_t>(got);
    }
    int status = Z_OK;
    gzerror(handle_.get(), &status);
    if (status == Z_BUF_ERROR || (have > 0 && have < count)) refuse(file_, "the archive ends early");
    return have == count;
  }

 private:
  fs::path file_;
  std::unique_ptr<gzFile_s, int (*)(gzFile)> handle_;
};

// A number field: octal text, or big-endian binary where the top bit is set (GNU, for large files).
std::uint64_t number(const std::uint8_t* field, std::size_t length) {
  std::uint64_t value = 0;
  if (field[0] & 0x80) {
    for (std::size_t i = 1; i < length; ++i) value = value << 8 | field[i];
    return value;
  }
  for (std::size_t i = 0; i < length; ++i) {
    if (field[i] >= '0' && field[i] <= '7') value = value * 8 + (field[i] - '0');
  }
  return value;
}

bool checksum_holds(const std::array<std::uint8_t, kTarBlock>& header) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < kTarBlock; ++i) sum += (i >= 148 && i < 156) ? ' ' : header[i];
  return sum == number(&header[148], 8);
}

Bytes read_file(const fs::path& file) {
  std::ifstream in(file, std::ios::binary | std::ios::ate);
  if (!in) refuse(file, std::strerror(errno));
  Bytes bytes(static_cast<std::size_t>(in.tellg()));
  in.seekg(0);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  if (!in) refuse(file, "it ends early");
  return bytes;
}

}  // namespace

FileBundle FileBundle::of_folder(const fs::path& folder) {
  FileBundle bundle;
  bundle.origin_ = folder;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(folder, failed)) {
    std::error_code ignored;
    if (!entry.is_regular_file(ignored)) continue;
    bundle.files_.emplace(entry.path().filename().string(),
                          [path = entry.path()] { return read_file(path); });
  }
  return bundle;
}

FileBundle FileBundle::of_archive(const fs::path& archive) {
  FileBundle bundle;
  bundle.origin_ = archive;
  bundle.is_archive_ = true;
  Reader reader(archive);
  std::array<std::uint8_t, kTarBlock> header;
  while (reader.read(header.data(), kTarBlock)) {
    if (std::all_of(header.begin(), header.end(), [](auto byte) { return byte == 0; })) break;
    if (!checksum_holds(header)) refuse(archive, "it is no tar archive, or a header is damaged");
    const std::uint64_t size = number(&header[124], 12);
    if (size > (std::uint64_t{1} << 34)) refuse(archive, "a member claims more than 16 GiB");
    Bytes body((size + kTarBlock - 1) / kTarBlock * kTarBlock);
    if (!body.empty() && !reader.read(body.data(), body.size())) refuse(archive, "the archive ends early");
    const char type = static_cast<char>(header[156]);
    if (type != '0' && type != '\0') continue;
    body.resize(size);
    const auto* text = reinterpret_cast<const char*>(header.data());
    const std::string name = fs::path(std::string(text, strnlen(text, 100))).filename().string();
    bundle.files_.emplace(name, [body = std::make_shared<Bytes>(std::move(body))] { return *body; });
  }
  return bundle;
}

Bytes FileBundle::read(const std::string& name) const {
  const auto found = files_.find(name);
  MUSTER_ASSERT(found != files_.end());
  return found->second();
}

std::string FileBundle::place(const std::string& name) const {
  return is_archive_ ? origin_.string() + ":" + name : (origin_ / name).string();
}

bool looks_like_archive(const fs::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with(".tar") || name.ends_with(".tar.gz") || name.ends_with(".tgz");
}

}  // namespace muster::workloads
