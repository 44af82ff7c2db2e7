#include <algorithm>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "results/csv_row_sink.hpp"
#include "results/hdf5_row_sink.hpp"
#include "results/metric_reader.hpp"
#include "results/metric_sink.hpp"

namespace muster {

namespace {

constexpr std::uint64_t kBlockRows = 4096;

/// All of `dead` into staged files beside it.
void write_anew(const MetricReader& dead, const std::filesystem::path& file) {
  CsvRowSink csv(file.parent_path(), dead.tables());
  Hdf5RowSink hdf5(file, dead.header(), dead.tables());
  for (std::size_t table = 0; table < dead.tables().size(); ++table) {
    const std::string& name = dead.tables()[table].name;
    const std::uint64_t rows = dead.rows(name);
    for (std::uint64_t first = 0; first < rows; first += kBlockRows) {
      for (const MetricRow& row : dead.read(name, first, std::min(kBlockRows, rows - first))) {
        csv.append(table, row);
        hdf5.append(table, row);
      }
      csv.flush();
      hdf5.flush();
    }
  }
  csv.close();
  hdf5.close();
}

}  // namespace

void mend_metrics(const std::filesystem::path& metrics_h5) {
  if (!std::filesystem::exists(metrics_h5)) return;
  const std::filesystem::path file = std::filesystem::canonical(metrics_h5);
  const MetricReader dead(file);
  if (dead.clean()) return;

  const std::filesystem::path folder = file.parent_path();
  const std::vector<std::filesystem::path> csv_files = csv_paths(folder, dead.tables());
  // What a dead writer left is read once more and written anew: clearing the flags in place would trust every
  // byte of it, and a crash while doing so would leave neither the old file nor the new one.
  try {
    write_anew(dead, file);
  } catch (...) {
    for (const auto& path : csv_files) discard_staged(path);
    discard_staged(file);
    throw;
  }
  // The HDF5 file comes last: until it has its name the next call begins again.
  for (const auto& path : csv_files) publish_file(path);
  fsync_folder(folder);
  publish_file(file);
  fsync_folder(folder);
}

std::map<std::string, MetricValue> last_row(const std::filesystem::path& metrics_h5,
                                            const std::string& table) {
  if (!std::filesystem::exists(metrics_h5)) return {};
  const MetricReader reader(metrics_h5);
  const auto& tables = reader.tables();
  const auto found = table.empty() ? tables.begin() : std::ranges::find(tables, table, &MetricTable::name);
  if (found == tables.end()) return {};
  const std::uint64_t rows = reader.rows(found->name);
  if (rows == 0) return {};
  const MetricRow row = reader.read(found->name, rows - 1, 1).at(0);
  std::map<std::string, MetricValue> values;
  for (std::size_t i = kFixedColumns; i < row.size(); ++i) values[found->columns[i].name] = row[i];
  return values;
}

}  // namespace muster
