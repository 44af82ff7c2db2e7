#pragma once
/// What each file format offers: whole rows in, one file or more out. MetricSink joins several.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "core/metric_schema.hpp"

namespace muster {

/// Writes whole rows (`attempt` and `unix_time` first) of fixed tables. Files begin staged, under another
/// name, so that nobody meets a half-made one; publish_file() gives them theirs. Not thread-safe. Every
/// method throws Error(storage) unless it says otherwise; after one has, call nothing but abandon().
/// Destruction closes, silently.
class RowSink {
 public:
  virtual ~RowSink() = default;
  /// Buffered. `table` is an index into the tables that the sink was made with.
  virtual void append(std::size_t table, std::span<const MetricValue> row) = 0;
  virtual void flush() = 0;
  /// flush; what a later attempt carries over is on disk (fsync).
  virtual void sync() = 0;
  /// flush, fsync and close: no call may follow.
  virtual void close() = 0;
  /// Writes no more and leaves the files as a killed writer would, for the mend. Never throws.
  virtual void abandon() noexcept = 0;
};

inline constexpr std::size_t kFixedColumns = 2;

/// The table with `attempt` and `unix_time` in front, as files hold it.
MetricTable with_fixed_columns(const MetricTable& table);

/// The name under which `file` is made.
std::filesystem::path staged_path(const std::filesystem::path& file);

/// Renames the staged file; it may be open. Throws Error(storage).
void publish_file(const std::filesystem::path& file);

/// Removes the staged file, where there is one.
void discard_staged(const std::filesystem::path& file) noexcept;

}  // namespace muster
