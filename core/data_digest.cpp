#include "core/data_digest.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <vector>

#include "core/checksum.hpp"
#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/log.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

/// A file changed within this time may change again and keep its size and time.
constexpr std::int64_t kSettledNanoseconds = 2'000'000'000;

struct DataFile {
  std::string name;  ///< below the data set; "" for a data set of one file
  fs::path path;
  std::int64_t size = 0;
  std::int64_t modified = 0;  ///< ns since 1970
};

[[noreturn]] void throw_unreadable(const fs::path& path, int error_number) {
  throw Error(
      ExitCode::data,
      "cannot read the data set '" + path.string() + "': " + std::generic_category().message(error_number),
      "check the path and its permissions");
}

DataFile describe(const fs::path& path, const std::string& name) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) throw_unreadable(path, errno);
  if (!S_ISREG(status.st_mode)) throw_unreadable(path, EINVAL);
  return {name, path, status.st_size,
          status.st_mtim.tv_sec * std::int64_t{1'000'000'000} + status.st_mtim.tv_nsec};
}

void collect(const fs::path& folder, const std::string& above, std::set<fs::path>& entered,
             std::vector<DataFile>& files) {
  std::error_code error;
  // A link to a folder that we are in would never end.
  const fs::path canonical = fs::canonical(folder, error);
  if (error) throw_unreadable(folder, error.value());
  if (!entered.insert(canonical).second) return;
  for (fs::directory_iterator item(folder, error), end; !error && item != end; item.increment(error)) {
    const std::string name = above + item->path().filename().string();
    if (fs::is_directory(item->path())) {
      collect(item->path(), name + "/", entered, files);
    } else {
      files.push_back(describe(item->path(), name));
    }
  }
  if (error) throw_unreadable(folder, error.value());
  entered.erase(canonical);
}

std::vector<DataFile> files_of(const fs::path& path) {
  std::vector<DataFile> files;
  if (fs::is_directory(path)) {
    std::set<fs::path> entered;
    collect(path, "", entered, files);
  } else {
    files.push_back(describe(path, ""));
  }
  std::sort(files.begin(), files.end(), [](const DataFile& a, const DataFile& b) { return a.name < b.name; });
  return files;
}

/// Names are given with their length, so that no name can be mistaken for the end of another.
void add_name(StreamingChecksum& checksum, const DataFile& file) {
  checksum.add(std::to_string(file.name.size()) + ":" + file.name + " " + std::to_string(file.size) + "\n");
}

std::string signature_of(const std::vector<DataFile>& files) {
  StreamingChecksum checksum;
  for (const DataFile& file : files) {
    add_name(checksum, file);
    checksum.add(std::to_string(file.modified) + "\n");
  }
  return checksum.hex();
}

void add_content(StreamingChecksum& checksum, const DataFile& file) {
  const int descriptor = open(file.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_unreadable(file.path, errno);
  std::vector<char> buffer(1 << 20);
  while (true) {
    const ssize_t got = read(descriptor, buffer.data(), buffer.size());
    if (got == 0) break;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      const int error_number = errno;
      close(descriptor);
      throw_unreadable(file.path, error_number);
    }
    checksum.add(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  }
  close(descriptor);
}

bool settled(const std::vector<DataFile>& files) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  const std::int64_t nanoseconds = now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
  return std::all_of(files.begin(), files.end(),
                     [&](const DataFile& file) { return file.modified + kSettledNanoseconds < nanoseconds; });
}

}  // namespace

DataDigests::DataDigests(const fs::path& runs_root) : cache_(runs_root / "data-digests.json") {
  if (!fs::exists(cache_)) return;
  try {
    const auto json = nlohmann::json::parse(read_text(cache_));
    for (const auto& [path, entry] : json.items())
      remembered_[path] = {entry.at("signature").get<std::string>(), entry.at("digest").get<std::string>()};
  } catch (const nlohmann::json::exception&) {
    remembered_.clear();
  }
}

std::string DataDigests::digest_of(const fs::path& path) {
  const std::string key = fs::absolute(path).lexically_normal().string();
  const std::vector<DataFile> files = files_of(path);
  const std::string signature = signature_of(files);
  if (const auto found = remembered_.find(key);
      found != remembered_.end() && found->second.signature == signature)
    return found->second.digest;
  StreamingChecksum checksum;
  for (const DataFile& file : files) {
    add_name(checksum, file);
    add_content(checksum, file);
  }
  const std::string digest = looked_at_[key] = checksum.hex();
  if (settled(files)) {
    remembered_[key] = {signature, digest};
    save();
  }
  return digest;
}

void DataDigests::save() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [path, entry] : remembered_)
    json[path] = {{"signature", entry.signature}, {"digest", entry.digest}};
  try {
    make_folders(cache_.parent_path());
    write_durably(cache_, json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
  } catch (const Error& error) {
    // Planning works without it; a run fails soon enough, with its own message, where nothing can be written.
    log(LogLevel::debug, std::string("the data sets' digests are not remembered: ") + error.what());
  }
}

}  // namespace muster
