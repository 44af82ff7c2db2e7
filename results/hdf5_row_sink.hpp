#pragma once
/// Metric rows as HDF5: one extendible compound dataset a table, readable while it grows.

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "results/hdf5_handle.hpp"
#include "results/row_sink.hpp"

namespace muster {

/// How a file stays readable while its writer works.
enum class Visibility {
  swmr,   ///< HDF5's single writer, multiple readers: readers are never wrong, the file survives the writer's
          ///< death
  flush,  ///< older file layout, flushed: for file systems without POSIX write order (NFS, SMB, FUSE)
};

const char* to_string(Visibility visibility);

/// swmr, unless the file system of `folder` is known not to keep the order of writes.
/// Throws Error(storage) where there is no such folder.
Visibility visibility_in(const std::filesystem::path& folder);

/// What the file says of itself in its root's attributes.
struct MetricFileHeader {
  std::string task_id;
  int attempt = 1;
  Visibility visibility = Visibility::swmr;
};

/// metrics.h5 of an attempt, staged. Locks are never taken: the claim already leaves one writer a file, and
/// locks fail on some networks' file systems.
class Hdf5RowSink final : public RowSink {
 public:
  Hdf5RowSink(const std::filesystem::path& file, const MetricFileHeader& header,
              const std::vector<MetricTable>& whole_tables);
  ~Hdf5RowSink() override;

  /// Begins SWMR where the header says so. Rows may come before and after.
  void share();

  void append(std::size_t table, std::span<const MetricValue> row) override;
  void flush() override;
  void sync() override;
  void close() override;
  void abandon() noexcept override;

 private:
  struct Table {
    std::string name;
    Hdf5Handle dataset;
    Hdf5Handle row_type;
    std::size_t row_bytes = 0;
    std::uint64_t written = 0;  ///< rows
    std::vector<std::byte> pending;
  };

  void write_pending(Table& table);
  template <typename Work>
  void guarded(Work work);

  std::filesystem::path path_;
  MetricFileHeader header_;
  Hdf5Handle file_;
  std::vector<Table> tables_;
};

}  // namespace muster
