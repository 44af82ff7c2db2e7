#include "results/hdf5_row_sink.hpp"

#include <hdf5.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "core/error.hpp"
#include "results/hdf5_layout.hpp"

namespace muster {

namespace {

constexpr std::size_t kChunkBytes = 16 * 1024;

/// From linux/magic.h and the file systems' own sources.
constexpr std::array<unsigned long, 7> kUnorderedFileSystems = {
    0x6969,      // NFS
    0x517b,      // SMB
    0xff534d42,  // CIFS
    0xfe534d42,  // SMB2
    0x65735546,  // FUSE
    0x01021997,  // 9p
    0x5346414f,  // AFS
};

Hdf5Handle access_properties(Visibility visibility, const std::filesystem::path& path) {
  Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  check_hdf5(access.get(), path, "create");
  check_hdf5(H5Pset_file_locking(access.get(), false, true), path, "create");
  const auto layout = visibility == Visibility::swmr ? H5F_LIBVER_V110 : H5F_LIBVER_V18;
  check_hdf5(H5Pset_libver_bounds(access.get(), layout, layout), path, "create");
  return access;
}

Hdf5Handle make_row_type(const MetricTable& table, const std::filesystem::path& path) {
  const std::size_t bytes = table.columns.size() * kNumberBytes;
  Hdf5Handle type(H5Tcreate(H5T_COMPOUND, bytes), H5Tclose);
  check_hdf5(type.get(), path, "declare table '" + table.name + "' in");
  std::size_t offset = 0;
  for (const MetricColumn& column : table.columns) {
    const hid_t number = column.type == MetricType::integer ? H5T_STD_I64LE : H5T_IEEE_F64LE;
    check_hdf5(H5Tinsert(type.get(), column.name.c_str(), offset, number), path,
               "declare column '" + column.name + "' in");
    offset += kNumberBytes;
  }
  return type;
}

}  // namespace

const char* to_string(Visibility visibility) { return visibility == Visibility::swmr ? "swmr" : "flush"; }

Visibility visibility_in(const std::filesystem::path& folder) {
  struct statfs system {};
  if (::statfs(folder.c_str(), &system) != 0) throw_storage_error(folder, "open", errno);
  const auto magic = static_cast<unsigned long>(system.f_type) & 0xffffffffUL;
  return std::ranges::find(kUnorderedFileSystems, magic) == kUnorderedFileSystems.end() ? Visibility::swmr
                                                                                        : Visibility::flush;
}

Hdf5RowSink::Hdf5RowSink(const std::filesystem::path& file, const MetricFileHeader& header,
                         const std::vector<MetricTable>& whole_tables)
    : path_(file), header_(header) {
  guarded([&] {
    const Hdf5Handle access = access_properties(header.visibility, path_);
    file_ =
        Hdf5Handle(check_hdf5(H5Fcreate(staged_path(path_).c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()),
                              path_, "create"),
                   H5Fclose);
    write_text_attribute(file_.get(), kFormatAttribute, kMetricFormat, path_);
    write_integer_attribute(file_.get(), kFormatVersionAttribute, kMetricFormatVersion, path_);
    write_text_attribute(file_.get(), kTaskAttribute, header.task_id, path_);
    write_integer_attribute(file_.get(), kAttemptAttribute, header.attempt, path_);
    write_text_attribute(file_.get(), kVisibilityAttribute, to_string(header.visibility), path_);
    if (header.visibility == Visibility::flush)
      write_integer_attribute(file_.get(), kClosedAttribute, 0, path_);

    std::vector<std::string> names;
    for (const MetricTable& table : whole_tables) names.push_back(table.name);
    write_text_array_attribute(file_.get(), kTablesAttribute, names, path_);

    for (const MetricTable& declared : whole_tables) {
      Table table;
      table.name = declared.name;
      table.row_bytes = declared.columns.size() * kNumberBytes;
      table.row_type = make_row_type(declared, path_);
      const hsize_t none = 0;
      const hsize_t unlimited = H5S_UNLIMITED;
      const Hdf5Handle space(check_hdf5(H5Screate_simple(1, &none, &unlimited), path_, "write"), H5Sclose);
      const Hdf5Handle creation(check_hdf5(H5Pcreate(H5P_DATASET_CREATE), path_, "write"), H5Pclose);
      const hsize_t chunk_rows = std::max<std::size_t>(1, kChunkBytes / table.row_bytes);
      check_hdf5(H5Pset_chunk(creation.get(), 1, &chunk_rows), path_, "write");
      table.dataset =
          Hdf5Handle(check_hdf5(H5Dcreate2(file_.get(), declared.name.c_str(), table.row_type.get(),
                                           space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                                path_, "create table '" + declared.name + "' in"),
                     H5Dclose);
      std::vector<std::string> units;
      std::vector<std::string> help;
      for (const MetricColumn& column : declared.columns) {
        units.push_back(column.unit);
        help.push_back(column.help);
      }
      write_text_array_attribute(table.dataset.get(), kUnitsAttribute, units, path_);
      write_text_array_attribute(table.dataset.get(), kHelpAttribute, help, path_);
      tables_.push_back(std::move(table));
    }
  });
}

Hdf5RowSink::~Hdf5RowSink() {
  if (!file_) return;
  try {
    close();
  } catch (const std::exception&) {
    // The next launcher mends what this leaves; a destructor has nobody to tell.
  }
}

void Hdf5RowSink::share() {
  if (header_.visibility != Visibility::swmr) return;
  guarded([&] {
    for (Table& table : tables_) write_pending(table);
    check_hdf5(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), path_, "write");
    check_hdf5(H5Fstart_swmr_write(file_.get()), path_, "share");
  });
}

void Hdf5RowSink::append(std::size_t table, std::span<const MetricValue> row) {
  std::vector<std::byte>& pending = tables_[table].pending;
  for (const MetricValue& number : row) {
    const std::size_t end = pending.size();
    pending.resize(end + kNumberBytes);
    std::visit([&](auto value) { std::memcpy(&pending[end], &value, sizeof value); }, number);
  }
}

void Hdf5RowSink::flush() {
  guarded([&] {
    for (Table& table : tables_) {
      if (table.pending.empty()) continue;
      write_pending(table);
      check_hdf5(H5Dflush(table.dataset.get()), path_, "write");
    }
    if (header_.visibility == Visibility::flush)
      check_hdf5(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), path_, "write");
  });
}

void Hdf5RowSink::sync() {
  flush();
  guarded([&] {
    check_hdf5(H5Fflush(file_.get(), H5F_SCOPE_GLOBAL), path_, "write");
    void* descriptor = nullptr;
    check_hdf5(H5Fget_vfd_handle(file_.get(), H5P_DEFAULT, &descriptor), path_, "sync");
    if (::fsync(*static_cast<int*>(descriptor)) != 0) throw_storage_error(path_, "sync", errno);
  });
}

void Hdf5RowSink::close() {
  if (!file_) return;
  flush();
  guarded([&] {
    if (header_.visibility == Visibility::flush)
      write_integer_attribute(file_.get(), kClosedAttribute, 1, path_);
  });
  sync();
  guarded([&] {
    tables_.clear();
    check_hdf5(file_.reset(), path_, "close");
  });
}

void Hdf5RowSink::write_pending(Table& table) {
  if (table.pending.empty()) return;
  const std::string doing = "write table '" + table.name + "' of";
  const hsize_t rows = table.pending.size() / table.row_bytes;
  const hsize_t first = table.written;
  const hsize_t total = first + rows;
  check_hdf5(H5Dset_extent(table.dataset.get(), &total), path_, doing);
  const Hdf5Handle in_file(check_hdf5(H5Dget_space(table.dataset.get()), path_, doing), H5Sclose);
  check_hdf5(H5Sselect_hyperslab(in_file.get(), H5S_SELECT_SET, &first, nullptr, &rows, nullptr), path_,
             doing);
  const Hdf5Handle in_memory(check_hdf5(H5Screate_simple(1, &rows, nullptr), path_, doing), H5Sclose);
  check_hdf5(H5Dwrite(table.dataset.get(), table.row_type.get(), in_memory.get(), in_file.get(), H5P_DEFAULT,
                      table.pending.data()),
             path_, doing);
  table.written = total;
  table.pending.clear();
}

void Hdf5RowSink::abandon() noexcept {
  // After a failed write HDF5 1.10 cannot even close what it holds without trying again, and may crash in
  // doing so.
  for (Table& table : tables_) table.dataset.leak();
  tables_.clear();
  file_.leak();
}

template <typename Work>
void Hdf5RowSink::guarded(Work work) {
  const QuietHdf5 quiet;
  try {
    work();
  } catch (...) {
    abandon();
    throw;
  }
}

}  // namespace muster
