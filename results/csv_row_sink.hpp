#pragma once
/// Metric rows as CSV: a header line of names, then a line a row, numbers in their shortest exact form.

#include <filesystem>
#include <string>
#include <vector>

#include "results/row_sink.hpp"

namespace muster {

/// `number` as CSV spells it: shortest text that reads back to the same bits; floats always carry a point, an
/// exponent, "nan" or "inf", so that a column's type shows.
std::string csv_number(const MetricValue& number);
void append_csv_number(std::string& line, const MetricValue& number);

/// `text` as one CSV field (RFC 4180): quoted where it must be.
std::string csv_field(const std::string& text);

/// metrics.csv (the first table) and metrics-TABLE.csv (the others) of an attempt's folder, staged.
class CsvRowSink final : public RowSink {
 public:
  CsvRowSink(const std::filesystem::path& attempt_folder, const std::vector<MetricTable>& whole_tables);
  ~CsvRowSink() override;
  CsvRowSink(const CsvRowSink&) = delete;
  CsvRowSink& operator=(const CsvRowSink&) = delete;

  void append(std::size_t table, std::span<const MetricValue> row) override;
  void flush() override;
  void sync() override;
  void close() override;
  void abandon() noexcept override;

 private:
  struct File {
    std::filesystem::path path;
    int descriptor = -1;
    std::string pending;
  };
  std::vector<File> files_;
};

/// The files in table order, with their final names.
std::vector<std::filesystem::path> csv_paths(const std::filesystem::path& attempt_folder,
                                             const std::vector<MetricTable>& tables);

}  // namespace muster
