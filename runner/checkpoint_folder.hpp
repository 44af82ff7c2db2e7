#pragma once
/// The names below `checkpoints/`, and what one rank does there by itself.

#include <cstdint>
#include <filesystem>
#include <vector>

namespace muster {

/// `checkpoints/`. Published checkpoints are `step-<12 digits>`; what begins with `.tmp-` is being written or
/// left over.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path published(std::int64_t step) const;
  std::filesystem::path staged(std::int64_t step, int attempt) const;
  static std::string own_file(int rank) { return "rank-" + std::to_string(rank) + ".safetensors"; }
  static constexpr const char* kSharedFile = "shared.safetensors";
  static constexpr const char* kManifest = "manifest.json";

  /// Steps of the published ones, newest first. Throws Error(storage).
  std::vector<std::int64_t> steps() const;
  /// Throws Error(storage).
  void make_staged(std::int64_t step, int attempt) const;
  /// Renames into place, in one move also where a checkpoint of that step is there. Throws Error(storage).
  void publish(std::int64_t step, int attempt) const;
  /// Renamed first, so that it never looks like a checkpoint while its files go. Never throws.
  void remove(std::int64_t step) const noexcept;
  /// Of attempts that died while they saved. Never throws.
  void remove_leftovers() const noexcept;

 private:
  std::filesystem::path folder_;
};

}  // namespace muster
