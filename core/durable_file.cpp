#include "core/durable_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "core/error.hpp"
#include "core/process_identity.hpp"

namespace muster {

namespace {

namespace fs = std::filesystem;

/// A name beside `file` that no other process of any host makes.
fs::path aside_name(const fs::path& file) {
  static std::atomic<unsigned> counter{0};
  const ProcessIdentity self = own_identity();
  return file.parent_path() / ("." + file.filename().string() + "." + self.host + "-" +
                               std::to_string(self.pid) + "-" + std::to_string(counter++) + ".tmp");
}

/// Removes the file on the way out unless told to keep it.
class AsideFile {
 public:
  AsideFile(const fs::path& target, std::string_view text, bool durable) : path_(aside_name(target)) {
    const int descriptor = open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor < 0) throw_storage_error(target, "write", errno);
    const int error_number = fill(descriptor, text, durable);
    if (close(descriptor) != 0 && error_number == 0) fail(target, errno);
    if (error_number != 0) fail(target, error_number);
  }
  ~AsideFile() {
    if (!kept_) unlink(path_.c_str());
  }
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  const fs::path& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  [[noreturn]] void fail(const fs::path& target, int error_number) {
    unlink(path_.c_str());
    throw_storage_error(target, "write", error_number);
  }

  static int fill(int descriptor, std::string_view text, bool durable) {
    while (!text.empty()) {
      const ssize_t written = write(descriptor, text.data(), text.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return errno;
      }
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    return !durable || fsync(descriptor) == 0 ? 0 : errno;
  }

  fs::path path_;
  bool kept_ = false;
};

}  // namespace

void write_durably(const fs::path& file, std::string_view text) {
  AsideFile aside(file, text, true);
  if (rename(aside.path().c_str(), file.c_str()) != 0) throw_storage_error(file, "write", errno);
  aside.keep();
  fsync_folder(file.parent_path());
}

void write_whole(const fs::path& file, std::string_view text) {
  AsideFile aside(file, text, false);
  if (rename(aside.path().c_str(), file.c_str()) != 0) throw_storage_error(file, "write", errno);
  aside.keep();
}

bool create_exclusively(const fs::path& file, std::string_view text) {
  AsideFile aside(file, text, false);
  if (link(aside.path().c_str(), file.c_str()) != 0) {
    const int error_number = errno;
    struct stat status {};
    // NFS repeats a request whose answer was lost, and then reports EEXIST for a link that is ours.
    const bool ours = stat(aside.path().c_str(), &status) == 0 && status.st_nlink == 2;
    if (!ours && error_number == EEXIST) return false;
    if (!ours && (error_number == EPERM || error_number == EOPNOTSUPP)) {
      // No hard links on this file system.
      if (renameat2(AT_FDCWD, aside.path().c_str(), AT_FDCWD, file.c_str(), RENAME_NOREPLACE) == 0) {
        aside.keep();
      } else if (errno == EEXIST) {
        return false;
      } else {
        throw_storage_error(file, "create", errno);
      }
    } else if (!ours) {
      throw_storage_error(file, "create", error_number);
    }
  }
  return true;
}

std::string read_text(const fs::path& file) {
  const int descriptor = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) throw_storage_error(file, "read", errno);
  std::string text;
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = read(descriptor, buffer, sizeof buffer);
    if (got > 0) {
      text.append(buffer, static_cast<std::size_t>(got));
    } else if (got == 0) {
      break;
    } else if (errno != EINTR) {
      const int error_number = errno;
      close(descriptor);
      throw_storage_error(file, "read", error_number);
    }
  }
  close(descriptor);
  return text;
}

void fsync_folder(const fs::path& folder) {
  const fs::path path = folder.empty() ? fs::path(".") : folder;
  const int descriptor = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) throw_storage_error(path, "open", errno);
  const int error_number = fsync(descriptor) == 0 ? 0 : errno;
  close(descriptor);
  // Some file systems know no fsync of a folder; their renames are as durable as they get.
  if (error_number != 0 && error_number != EINVAL && error_number != EROFS)
    throw_storage_error(path, "sync", error_number);
}

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw_storage_error(folder, "create the folder", error.value());
  if (!fs::is_directory(folder)) throw_storage_error(folder, "create the folder", ENOTDIR);
}

}  // namespace muster
