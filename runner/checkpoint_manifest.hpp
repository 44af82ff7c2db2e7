#pragma once
/// manifest.json of a checkpoint: what it holds, with checksums of all its files and of itself.

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace muster {

struct CheckpointFile {
  std::uint64_t bytes = 0;
  std::string checksum;  ///< XXH3-128, hex
};

struct CheckpointManifest {
  std::int64_t step = 0;
  int attempt = 0;  ///< that wrote it
  int ranks = 1;
  std::map<std::string, std::uint64_t> metric_rows;  ///< of that attempt's files, by table
  std::map<std::string, std::string> metadata;       ///< the workload's
  std::map<std::string, CheckpointFile> files;       ///< by name
};

std::string manifest_to_json(const CheckpointManifest& manifest);

/// Throws Error(checkpoint) where the text is damaged in any bit.
CheckpointManifest manifest_from_json(const std::string& text);

}  // namespace muster
