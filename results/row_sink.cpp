#include "results/row_sink.hpp"

#include <cerrno>
#include <cstdio>

#include "core/error.hpp"

namespace muster {

MetricTable with_fixed_columns(const MetricTable& table) {
  MetricTable whole{
      table.name,
      {{"attempt", MetricType::integer, "1", "attempt that wrote the row, from 1"},
       {"unix_time", MetricType::floating, "s", "when the row was written, since 1970-01-01 UTC"}}};
  whole.columns.insert(whole.columns.end(), table.columns.begin(), table.columns.end());
  return whole;
}

std::filesystem::path staged_path(const std::filesystem::path& file) { return file.string() + ".new"; }

void publish_file(const std::filesystem::path& file) {
  if (std::rename(staged_path(file).c_str(), file.c_str()) != 0) throw_storage_error(file, "rename", errno);
}

void discard_staged(const std::filesystem::path& file) noexcept {
  std::error_code ignored;
  std::filesystem::remove(staged_path(file), ignored);
}

}  // namespace muster
