#include "results/metric_reader.hpp"

#include <hdf5.h>

#include <algorithm>
#include <cstring>

#include "core/error.hpp"
#include "results/hdf5_layout.hpp"

namespace muster {

namespace {

constexpr std::uint64_t kBlockRows = 65536;

}  // namespace

MetricReader::MetricReader(const std::filesystem::path& file) : path_(file) {
  const QuietHdf5 quiet;
  const Hdf5Handle access(check_hdf5(H5Pcreate(H5P_FILE_ACCESS), path_, "open"), H5Pclose);
  check_hdf5(H5Pset_file_locking(access.get(), false, true), path_, "open");
  file_ = Hdf5Handle(H5Fopen(path_.c_str(), H5F_ACC_RDONLY, access.get()), H5Fclose);
  if (!file_) {
    clean_ = false;
    file_ = Hdf5Handle(
        check_hdf5(H5Fopen(path_.c_str(), H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, access.get()), path_, "open"),
        H5Fclose);
  }
  if (H5Aexists(file_.get(), kFormatAttribute) <= 0 ||
      read_text_attribute(file_.get(), kFormatAttribute, path_) != std::vector<std::string>{kMetricFormat})
    throw Error(ExitCode::storage, "'" + path_.string() + "' is no metrics file of muster",
                "name a metrics.h5");
  if (const auto version = read_integer_attribute(file_.get(), kFormatVersionAttribute, path_);
      version != kMetricFormatVersion)
    throw Error(ExitCode::storage,
                "'" + path_.string() + "' has format version " + std::to_string(version) +
                    ", and this muster reads " + std::to_string(kMetricFormatVersion),
                "use the muster that wrote it");
  header_.task_id = read_text_attribute(file_.get(), kTaskAttribute, path_).at(0);
  header_.attempt = static_cast<int>(read_integer_attribute(file_.get(), kAttemptAttribute, path_));
  if (read_text_attribute(file_.get(), kVisibilityAttribute, path_).at(0) == to_string(Visibility::flush)) {
    header_.visibility = Visibility::flush;
    clean_ = clean_ && read_integer_attribute(file_.get(), kClosedAttribute, path_) == 1;
  }
  for (const std::string& name : read_text_attribute(file_.get(), kTablesAttribute, path_))
    tables_.push_back(read_table(name));
}

Hdf5Handle MetricReader::open_table(const std::string& name) const {
  return {check_hdf5(H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT), path_, "find table '" + name + "' in"),
          H5Dclose};
}

MetricTable MetricReader::read_table(const std::string& name) const {
  const Hdf5Handle dataset = open_table(name);
  const Hdf5Handle type(check_hdf5(H5Dget_type(dataset.get()), path_, "read"), H5Tclose);
  const auto units = read_text_attribute(dataset.get(), kUnitsAttribute, path_);
  const auto help = read_text_attribute(dataset.get(), kHelpAttribute, path_);
  MetricTable table{name, {}};
  const int columns = check_hdf5(H5Tget_nmembers(type.get()), path_, "read");
  for (int i = 0; i < columns; ++i) {
    const auto member = static_cast<unsigned>(i);
    char* const column = H5Tget_member_name(type.get(), member);
    const bool integer = H5Tget_member_class(type.get(), member) == H5T_INTEGER;
    table.columns.push_back({column ? column : "", integer ? MetricType::integer : MetricType::floating,
                             units.at(member), help.at(member)});
    H5free_memory(column);
  }
  return table;
}

std::uint64_t MetricReader::rows(const std::string& table) const {
  const QuietHdf5 quiet;
  const Hdf5Handle dataset = open_table(table);
  const Hdf5Handle space(check_hdf5(H5Dget_space(dataset.get()), path_, "read"), H5Sclose);
  std::uint64_t count =
      static_cast<std::uint64_t>(check_hdf5(H5Sget_simple_extent_npoints(space.get()), path_, "read"));
  // A writer may die after a table has grown and before the row is there; such a row reads as zeros, and no
  // attempt is 0.
  while (count > 0 && std::get<std::int64_t>(read(table, count - 1, 1).at(0).at(0)) == 0) --count;
  return count;
}

std::vector<MetricRow> MetricReader::read(const std::string& name, std::uint64_t first,
                                          std::uint64_t count) const {
  const QuietHdf5 quiet;
  const auto table = std::ranges::find(tables_, name, &MetricTable::name);
  MUSTER_ASSERT(table != tables_.end());
  const std::string doing = "read table '" + name + "' of";
  const Hdf5Handle dataset = open_table(name);
  const Hdf5Handle in_file(check_hdf5(H5Dget_space(dataset.get()), path_, doing), H5Sclose);
  const Hdf5Handle file_type(check_hdf5(H5Dget_type(dataset.get()), path_, doing), H5Tclose);
  const Hdf5Handle type(check_hdf5(H5Tget_native_type(file_type.get(), H5T_DIR_ASCEND), path_, doing),
                        H5Tclose);
  const std::size_t columns = table->columns.size();
  MUSTER_ASSERT(H5Tget_size(type.get()) == columns * kNumberBytes);

  std::vector<MetricRow> rows;
  std::vector<std::byte> block;
  while (count > 0) {
    const hsize_t take = std::min(count, kBlockRows);
    const hsize_t from = first;
    const Hdf5Handle in_memory(check_hdf5(H5Screate_simple(1, &take, nullptr), path_, doing), H5Sclose);
    check_hdf5(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, &from, nullptr, &take, nullptr), path_,
               doing);
    block.resize(take * columns * kNumberBytes);
    check_hdf5(H5Dread(dataset.get(), type.get(), in_memory.get(), in_file.get(), H5P_DEFAULT, block.data()),
               path_, doing);
    const std::byte* at = block.data();
    for (hsize_t i = 0; i < take; ++i) {
      MetricRow row;
      row.reserve(columns);
      for (const MetricColumn& column : table->columns) {
        if (column.type == MetricType::integer) {
          std::int64_t value = 0;
          std::memcpy(&value, at, sizeof value);
          row.emplace_back(value);
        } else {
          double value = 0;
          std::memcpy(&value, at, sizeof value);
          row.emplace_back(value);
        }
        at += kNumberBytes;
      }
      rows.push_back(std::move(row));
    }
    first += take;
    count -= take;
  }
  return rows;
}

}  // namespace muster
