#pragma once
/// exit.json: how a gang ended, written by its shim once nothing of the gang is left.

#include <filesystem>
#include <optional>
#include <string>

namespace muster {

struct ExitRecord {
  int exit_code = 0;   ///< 128 + signal where a signal ended it
  int signal = 0;      ///< 0: none
  double started = 0;  ///< unix seconds
  double ended = 0;
  bool lost_ranks = false;     ///< srun returned 0, but not every rank did
  bool never_started = false;  ///< srun failed, and no rank was ever started
};

std::string exit_record_to_json(const ExitRecord& record);

/// nullopt where the file does not exist. Throws Error(storage) where it is damaged.
std::optional<ExitRecord> read_exit_record(const std::filesystem::path& file);

}  // namespace muster
