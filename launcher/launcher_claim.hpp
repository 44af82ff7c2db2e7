#pragma once
/// launcher-N: which launcher drives a run. One at a time.

#include <string>

#include "core/process_identity.hpp"
#include "core/run_paths.hpp"

namespace muster {

/// Held till destroyed, or till the process dies. Another host cannot see that: a clean end is written into
/// the file.
class LauncherClaim {
 public:
  /// Throws Error(busy), naming the process and host that hold the run, and Error(storage).
  explicit LauncherClaim(const RunPaths& run);
  ~LauncherClaim();
  LauncherClaim(const LauncherClaim&) = delete;
  LauncherClaim& operator=(const LauncherClaim&) = delete;

  int number() const { return number_; }

 private:
  RunPaths run_;
  int number_ = 0;
};

enum class RunHolder { nobody, alive, unknown };

/// Who drives the run; `holder` is set unless nobody does.
RunHolder holder_of(const RunPaths& run, ProcessIdentity& holder);

/// A claim of this process on a run that is only just being made.
void write_first_claim(const RunPaths& run);

}  // namespace muster
