#include "core/run_paths.hpp"

#include <cstdlib>

namespace muster {

std::filesystem::path default_runs_root() {
  const char* from_environment = std::getenv("MUSTER_RUNS");
  if (from_environment != nullptr && *from_environment != '\0') return from_environment;
  return std::filesystem::path("results") / "runs";
}

}  // namespace muster
