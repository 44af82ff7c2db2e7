#include "results/csv_row_sink.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <string_view>
#include <utility>

#include "core/error.hpp"
#include "core/run_paths.hpp"

namespace muster {

namespace {

/// All of `text`, or an errno; what a failed write left behind is cut off again.
int write_whole(int descriptor, std::string_view text) {
  const off_t before = ::lseek(descriptor, 0, SEEK_CUR);
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      const int failure = errno;
      if (::ftruncate(descriptor, before) == 0) ::lseek(descriptor, before, SEEK_SET);
      return failure;
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

void append_csv_number(std::string& line, const MetricValue& number) {
  char text[40];
  char* const limit = text + sizeof text;
  if (const auto* integer = std::get_if<std::int64_t>(&number)) {
    line.append(text, std::to_chars(text, limit, *integer).ptr);
    return;
  }
  const char* const end = std::to_chars(text, limit, std::get<double>(number)).ptr;
  const std::string_view digits(text, static_cast<std::size_t>(end - text));
  line.append(digits);
  if (digits.find_first_not_of("-0123456789") == std::string_view::npos) line.append(".0");
}

std::string csv_number(const MetricValue& number) {
  std::string text;
  append_csv_number(text, number);
  return text;
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

std::vector<std::filesystem::path> csv_paths(const std::filesystem::path& attempt_folder,
                                             const std::vector<MetricTable>& tables) {
  const AttemptPaths paths(attempt_folder);
  std::vector<std::filesystem::path> files;
  for (const MetricTable& table : tables)
    files.push_back(files.empty() ? paths.metrics_csv() : paths.metrics_csv(table.name));
  return files;
}

CsvRowSink::CsvRowSink(const std::filesystem::path& attempt_folder,
                       const std::vector<MetricTable>& whole_tables) {
  for (const auto& path : csv_paths(attempt_folder, whole_tables)) files_.push_back({path, -1, {}});
  for (std::size_t i = 0; i < files_.size(); ++i) {
    File& file = files_[i];
    file.descriptor = ::open(staged_path(file.path).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file.descriptor < 0) {
      const int failure = errno;
      abandon();
      throw_storage_error(file.path, "create", failure);
    }
    for (const MetricColumn& column : whole_tables[i].columns) {
      if (!file.pending.empty()) file.pending += ',';
      file.pending += csv_field(column.name);
    }
    file.pending += '\n';
  }
}

CsvRowSink::~CsvRowSink() {
  for (File& file : files_) {
    if (file.descriptor < 0) continue;
    write_whole(file.descriptor, file.pending);
    ::close(file.descriptor);
  }
}

void CsvRowSink::append(std::size_t table, std::span<const MetricValue> row) {
  std::string& line = files_[table].pending;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) line += ',';
    append_csv_number(line, row[i]);
  }
  line += '\n';
}

void CsvRowSink::flush() {
  for (File& file : files_) {
    if (file.descriptor < 0 || file.pending.empty()) continue;
    if (const int failure = write_whole(file.descriptor, file.pending))
      throw_storage_error(file.path, "write", failure);
    file.pending.clear();
  }
}

// The HDF5 file is what a checkpoint relies on: after a crash of the machine it is not clean, and the mend
// writes CSV anew. Closed, it calls CSV whole, so CSV is on disk by then.
void CsvRowSink::sync() { flush(); }

void CsvRowSink::close() {
  flush();
  for (File& file : files_) {
    if (file.descriptor < 0) continue;
    if (::fsync(file.descriptor) != 0) throw_storage_error(file.path, "sync", errno);
    if (::close(std::exchange(file.descriptor, -1)) != 0) throw_storage_error(file.path, "close", errno);
  }
}

void CsvRowSink::abandon() noexcept {
  for (File& file : files_)
    if (file.descriptor >= 0) ::close(std::exchange(file.descriptor, -1));
}

}  // namespace muster
