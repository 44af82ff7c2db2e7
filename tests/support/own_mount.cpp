#include "tests/support/own_mount.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace muster::testing {

namespace {

/// The call that failed; nullptr where all went well.
const char* mount_tmpfs(const std::filesystem::path& folder, int kilobytes) {
  if (unshare(CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0) return "unshare";
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "mount --make-rprivate";
  const std::string size = "size=" + std::to_string(kilobytes) + "k";
  return mount("muster-test", folder.c_str(), "tmpfs", 0, size.c_str()) == 0 ? nullptr : "mount";
}

}  // namespace

OwnMount::OwnMount(const std::filesystem::path& folder, int kilobytes) : folder_(folder) {
  if (const char* call = mount_tmpfs(folder, kilobytes)) {
    reason_ = std::string("no file system of the test's own here: ") + call + ": " +
              std::generic_category().message(errno);
  }
}

void OwnMount::make_read_only() {
  if (mount("muster-test", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) != 0)
    throw std::system_error(errno, std::generic_category(), "remount");
}

}  // namespace muster::testing
