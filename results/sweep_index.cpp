#include "results/sweep_index.hpp"

#include <hdf5.h>

#include <cstring>
#include <limits>

#include "core/durable_file.hpp"
#include "results/hdf5_layout.hpp"
#include "results/sweep_table.hpp"

namespace muster {

namespace {

constexpr std::size_t kSlotBytes = 8;  ///< of every value in memory: a number, a byte, or a pointer to text

Hdf5Handle boolean_type() {
  Hdf5Handle type(H5Tenum_create(H5T_NATIVE_INT8), H5Tclose);
  const std::int8_t no = 0;
  const std::int8_t yes = 1;
  H5Tenum_insert(type.get(), "FALSE", &no);
  H5Tenum_insert(type.get(), "TRUE", &yes);
  return type;
}

Hdf5Handle row_type(const std::vector<SweepColumn>& columns, const std::filesystem::path& file) {
  Hdf5Handle row(H5Tcreate(H5T_COMPOUND, columns.size() * kSlotBytes), H5Tclose);
  const Hdf5Handle boolean = boolean_type();
  const Hdf5Handle text = text_type();
  std::size_t offset = 0;
  for (const SweepColumn& column : columns) {
    Hdf5Id type = text.get();
    if (column.kind == SweepKind::integer) type = H5T_NATIVE_INT64;
    if (column.kind == SweepKind::floating) type = H5T_NATIVE_DOUBLE;
    if (column.kind == SweepKind::boolean) type = boolean.get();
    check_hdf5(H5Tinsert(row.get(), column.name.c_str(), offset, type), file,
               "declare '" + column.name + "' in");
    offset += kSlotBytes;
  }
  return row;
}

/// All rows as row_type() lays them out; `texts` owns what they point to.
std::vector<std::byte> pack(const std::vector<SweepColumn>& columns, std::size_t rows,
                            std::vector<std::string>& texts) {
  texts.reserve(rows * columns.size());
  std::vector<std::byte> packed(rows * columns.size() * kSlotBytes);
  std::byte* slot = packed.data();
  const auto put = [&](auto value) { std::memcpy(slot, &value, sizeof value); };
  for (std::size_t row = 0; row < rows; ++row)
    for (const SweepColumn& column : columns) {
      const auto& value = column.values[row];
      switch (column.kind) {
        case SweepKind::integer:
          put(value->as_int());
          break;
        case SweepKind::floating:
          put(value ? value->as_float() : std::numeric_limits<double>::quiet_NaN());
          break;
        case SweepKind::boolean:
          put(static_cast<std::int8_t>(value->as_bool()));
          break;
        case SweepKind::text:
          put(texts.emplace_back(value ? value->text() : "").c_str());
          break;
      }
      slot += kSlotBytes;
    }
  return packed;
}

/// sweep.h5 made in memory, so that the file on disk appears whole or not at all.
std::string sweep_image(const std::vector<SweepEntry>& entries, const std::vector<SweepColumn>& columns,
                        const std::filesystem::path& path) {
  const QuietHdf5 quiet;
  const Hdf5Handle access(check_hdf5(H5Pcreate(H5P_FILE_ACCESS), path, "make"), H5Pclose);
  check_hdf5(H5Pset_fapl_core(access.get(), 1 << 20, false), path, "make");
  // The oldest superblock has no checksum; H5Fget_file_image leaves a wrong one in those that have.
  check_hdf5(H5Pset_libver_bounds(access.get(), H5F_LIBVER_EARLIEST, H5F_LIBVER_V18), path, "make");
  const Hdf5Handle file(
      check_hdf5(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()), path, "make"), H5Fclose);
  write_text_attribute(file.get(), kFormatAttribute, kSweepFormat, path);
  write_integer_attribute(file.get(), kFormatVersionAttribute, kSweepFormatVersion, path);

  {
    const hsize_t rows = entries.size();
    const Hdf5Handle type = row_type(columns, path);
    const Hdf5Handle space(check_hdf5(H5Screate_simple(1, &rows, nullptr), path, "make"), H5Sclose);
    const Hdf5Handle tasks(check_hdf5(H5Dcreate2(file.get(), "tasks", type.get(), space.get(), H5P_DEFAULT,
                                                 H5P_DEFAULT, H5P_DEFAULT),
                                      path, "make"),
                           H5Dclose);
    std::vector<std::string> texts;
    const std::vector<std::byte> packed = pack(columns, entries.size(), texts);
    if (rows > 0)
      check_hdf5(H5Dwrite(tasks.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, packed.data()), path,
                 "fill");
    std::vector<std::string> sources;
    for (const SweepColumn& column : columns) sources.push_back(column.source);
    write_text_array_attribute(tasks.get(), kSourcesAttribute, sources, path);

    const Hdf5Handle metrics(
        check_hdf5(H5Gcreate2(file.get(), "metrics", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), path, "make"),
        H5Gclose);
    for (const SweepEntry& entry : entries) {
      if (entry.metrics_h5.empty()) continue;
      const std::string target = relative_to(entry.metrics_h5, path.parent_path());
      const std::string name = "task-" + std::to_string(entry.number);
      check_hdf5(
          H5Lcreate_external(target.c_str(), "/", metrics.get(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT),
          path, "link '" + name + "' in");
    }
  }

  check_hdf5(H5Fflush(file.get(), H5F_SCOPE_GLOBAL), path, "make");
  const ssize_t bytes = check_hdf5(H5Fget_file_image(file.get(), nullptr, 0), path, "make");
  std::string image(static_cast<std::size_t>(bytes), '\0');
  check_hdf5(H5Fget_file_image(file.get(), image.data(), image.size()), path, "make");
  return image;
}

}  // namespace

void write_sweep_index(const std::filesystem::path& sweep_h5, const std::filesystem::path& summary_csv,
                       const std::vector<SweepEntry>& entries) {
  const std::vector<SweepColumn> columns =
      sweep_columns(entries, std::filesystem::absolute(sweep_h5).parent_path());
  write_durably(sweep_h5, sweep_image(entries, columns, std::filesystem::absolute(sweep_h5)));
  write_durably(summary_csv, sweep_csv(columns));
}

}  // namespace muster
