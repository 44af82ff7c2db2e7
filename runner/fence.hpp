#pragma once
/// Whether this attempt may still publish.

#include <filesystem>

#include "core/run_paths.hpp"

namespace muster {

/// An attempt is over once a later one has its claim, whatever became of its processes.
class Fence {
 public:
  Fence(const std::filesystem::path& task_folder, int attempt);
  /// Throws Error(busy) where a later attempt has taken the task. Call it right before publishing.
  void check() const;

 private:
  std::filesystem::path next_claim_;
  int attempt_;
};

}  // namespace muster
