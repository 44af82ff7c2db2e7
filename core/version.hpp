#pragma once
/// Which muster this is. Link muster_version, which is rebuilt at each commit, so that nothing else has to
/// be.

namespace muster {

/// "0.1.0 (1a2b3c4d5e6f)"; a "+" follows the commit where the tree had changes; without git just "0.1.0".
const char* version();

/// The commit alone, empty where the tree had no git.
const char* commit();

}  // namespace muster
