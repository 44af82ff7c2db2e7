#pragma once
/// Which muster this is.

namespace muster {

/// "0.1.0".
const char* version();

}  // namespace muster
