#include "runner/fence.hpp"

#include <string>

#include "core/error.hpp"

namespace muster {

Fence::Fence(const std::filesystem::path& task_folder, int attempt)
    : next_claim_(TaskPaths(task_folder).claim(attempt + 1)), attempt_(attempt) {}

void Fence::check() const {
  std::error_code ignored;
  if (!std::filesystem::exists(next_claim_, ignored)) return;
  throw Error(
      ExitCode::busy,
      "attempt " + std::to_string(attempt_) + " was given up: '" + next_claim_.string() + "' is there",
      "nothing: the later attempt does the work");
}

}  // namespace muster
