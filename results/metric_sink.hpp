#pragma once
/// Where an attempt's metric rows go: HDF5 (SWMR) and CSV, behind one interface. results/README.md documents
/// the bytes.

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/metric_schema.hpp"

namespace muster {

/// One writer. Not thread-safe.
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  /// A row with one value a declared column; `attempt` and `unix_time` are added. Throws Error(internal) on a
  /// wrong shape and Error(storage) where it cannot be written.
  virtual void append(const std::string& table, const std::vector<MetricValue>& row) = 0;
  /// Rows so far become visible to readers.
  virtual void flush() = 0;
  /// flush, and fsync: rows survive a crash of the machine. A checkpoint calls it first.
  virtual void sync() = 0;
  /// Rows so far, by table: a checkpoint records them, and the next attempt carries so many over.
  virtual std::map<std::string, std::uint64_t> row_counts() const = 0;
};

/// What a resumed attempt takes over: the first `rows[table]` rows of the earlier attempt's files.
struct CarriedRows {
  std::filesystem::path attempt_folder;
  std::map<std::string, std::uint64_t> rows;
};

struct MetricSinkOptions {
  std::filesystem::path attempt_folder;
  int attempt = 1;
  std::string task_id;
  std::vector<MetricTable> tables;
  std::shared_ptr<const CarriedRows> carried;  ///< null: none
};

/// metrics.h5 and the CSV files, new, in the attempt's folder. Closing (destruction) leaves them clean.
/// Throws Error(storage).
std::unique_ptr<MetricSink> open_metric_sink(const MetricSinkOptions& options);

/// Makes the files that a writer left open readable without flags, and the CSV files say the same as the HDF5
/// one. Nothing to do on a clean file, or where there is none; the rows that were flushed stay, whenever this
/// is interrupted. Call it only when the writer is dead. Throws Error(storage) where it cannot be mended.
void mend_metrics(const std::filesystem::path& metrics_h5);

/// Last row of a table (empty name: the first declared one), by column name, without `attempt` and
/// `unix_time`; empty where there is no file, table or row. Works while the file grows. For summaries. Throws
/// Error(storage).
std::map<std::string, MetricValue> last_row(const std::filesystem::path& metrics_h5,
                                            const std::string& table);

}  // namespace muster
