#pragma once
/// File systems of a test's own, for disks that are full or read-only: root ignores modes.

#include <filesystem>
#include <string>

namespace muster::testing {

/// A tmpfs of `kilobytes` in a mount namespace of this process, gone with the process. Needs root, or a
/// kernel that lets users make namespaces.
class OwnMount {
 public:
  OwnMount(const std::filesystem::path& folder, int kilobytes);

  /// Why there is none; empty where there is. A test then skips itself with this text.
  const std::string& reason() const { return reason_; }
  void make_read_only();

 private:
  std::filesystem::path folder_;
  std::string reason_;
};

}  // namespace muster::testing
