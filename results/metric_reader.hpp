#pragma once
/// Reads metrics.h5, while it grows, after its writer died, or closed.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "results/hdf5_handle.hpp"
#include "results/hdf5_row_sink.hpp"

namespace muster {

using MetricRow = std::vector<MetricValue>;

/// One open file. Not for a file that this same process is writing. Every method throws Error(storage).
class MetricReader {
 public:
  explicit MetricReader(const std::filesystem::path& file);

  /// Closed by its writer, or mended.
  bool clean() const { return clean_; }
  const MetricFileHeader& header() const { return header_; }
  /// In declared order, `attempt` and `unix_time` among the columns.
  const std::vector<MetricTable>& tables() const { return tables_; }
  /// Rows that are whole.
  std::uint64_t rows(const std::string& table) const;
  std::vector<MetricRow> read(const std::string& table, std::uint64_t first, std::uint64_t count) const;

 private:
  MetricTable read_table(const std::string& name) const;
  Hdf5Handle open_table(const std::string& name) const;

  std::filesystem::path path_;
  Hdf5Handle file_;
  bool clean_ = true;
  MetricFileHeader header_;
  std::vector<MetricTable> tables_;
};

}  // namespace muster
