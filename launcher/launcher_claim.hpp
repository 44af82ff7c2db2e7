#pragma once
/// launcher-N: which launcher drives a run, or launcher-task-7-N: one task of it. One at a time.

#include <functional>
#include <string>

#include "core/process_identity.hpp"
#include "core/run_paths.hpp"

namespace muster {

using LivenessOf = std::function<Liveness(const ProcessIdentity&)>;

/// Held till destroyed, or till the process dies. Another host cannot see that: a clean end is written into
/// the file.
class LauncherClaim {
 public:
  /// Throws Error(busy), naming the process and host that hold the run, and Error(storage).
  /// `part` as in RunPaths::launcher_claim.
  explicit LauncherClaim(const RunPaths& run, std::string part = "",
                         const LivenessOf& liveness_of = liveness);
  ~LauncherClaim();
  LauncherClaim(const LauncherClaim&) = delete;
  LauncherClaim& operator=(const LauncherClaim&) = delete;

  int number() const { return number_; }
  /// Somebody took this process for dead and drives the run now: this one must touch nothing more.
  bool superseded() const;

 private:
  RunPaths run_;
  std::string part_;
  int number_ = 0;
};

enum class RunHolder { nobody, alive, unknown };

/// Who drives the run; `holder` is set unless nobody does.
RunHolder holder_of(const RunPaths& run, ProcessIdentity& holder, const std::string& part = "",
                    const LivenessOf& liveness_of = liveness);

/// A claim of this process on a run that is only just being made.
void write_first_claim(const RunPaths& run);

}  // namespace muster
