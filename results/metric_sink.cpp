#include "results/metric_sink.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <set>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/log.hpp"
#include "core/run_paths.hpp"
#include "core/unix_time.hpp"
#include "results/csv_row_sink.hpp"
#include "results/hdf5_row_sink.hpp"
#include "results/metric_reader.hpp"

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::uint64_t kBlockRows = 4096;
constexpr std::chrono::seconds kVisibleWithin{1};

[[noreturn]] void throw_misuse(const std::string& problem, const std::string& advice) {
  throw Error(ExitCode::internal, problem, advice);
}

void check_tables(const std::vector<MetricTable>& tables) {
  std::set<std::string> names;
  for (const MetricTable& table : tables) {
    if (table.name.empty() || table.name.find('/') != std::string::npos || table.name[0] == '.')
      throw_misuse("a metric table cannot be called '" + table.name + "' (its name becomes part of a file's)",
                   "use letters, digits, '_' and '-'");
    if (!names.insert(table.name).second)
      throw_misuse("metric table '" + table.name + "' is declared twice", "declare every table once");
    std::set<std::string> columns{"attempt", "unix_time"};
    for (const MetricColumn& column : table.columns)
      if (column.name.empty() || !columns.insert(column.name).second)
        throw_misuse("table '" + table.name + "' cannot have a column '" + column.name +
                         "' (every name is used once, and attempt and unix_time come of themselves)",
                     "rename the column");
  }
}

/// Hands every row to all sinks, with attempt and time in front.
class AttemptSink final : public MetricSink {
 public:
  AttemptSink(const MetricSinkOptions& options, const std::vector<MetricTable>& whole)
      : attempt_(options.attempt), tables_(options.tables), counts_(options.tables.size()) {
    const Visibility visibility = visibility_in(options.attempt_folder);
    if (visibility == Visibility::flush)
      log(LogLevel::warning,
          "metrics in '" + options.attempt_folder.string() +
              "' are flushed, not shared by SWMR: this file system does not keep the order of writes");

    const std::filesystem::path file = AttemptPaths(options.attempt_folder).metrics_h5();
    auto hdf5 =
        std::make_unique<Hdf5RowSink>(file, MetricFileHeader{options.task_id, attempt_, visibility}, whole);
    Hdf5RowSink& shared = *hdf5;
    // The HDF5 file comes last: closed whole, it says that CSV is whole too.
    sinks_.push_back(std::make_unique<CsvRowSink>(options.attempt_folder, whole));
    sinks_.push_back(std::move(hdf5));
    if (options.carried) carry(*options.carried);
    flush();
    shared.share();
    for (const auto& path : csv_paths(options.attempt_folder, whole)) publish_file(path);
    publish_file(file);
    fsync_folder(options.attempt_folder);
  }

  ~AttemptSink() override {
    try {
      flush();
      on_every_sink(&RowSink::close);
    } catch (const std::exception&) {
      // The next launcher mends what this leaves; a destructor has nobody to tell.
    }
  }

  void append(const std::string& table, const std::vector<MetricValue>& row) override {
    const std::size_t index = index_of(table);
    const std::vector<MetricColumn>& columns = tables_[index].columns;
    if (row.size() != columns.size())
      throw_misuse("a row of table '" + table + "' has " + std::to_string(row.size()) + " values for " +
                       std::to_string(columns.size()) + " declared columns",
                   "give one value a column, in declared order");
    whole_row_.clear();
    whole_row_.emplace_back(std::int64_t{attempt_});
    whole_row_.emplace_back(unix_now());
    for (std::size_t i = 0; i < row.size(); ++i) whole_row_.push_back(fit(row[i], columns[i], table));
    store(index, whole_row_);
    if (Clock::now() - flushed_ >= kVisibleWithin) flush();
  }

  void flush() override { on_every_sink(&RowSink::flush); }
  void sync() override { on_every_sink(&RowSink::sync); }

  std::map<std::string, std::uint64_t> row_counts() const override {
    std::map<std::string, std::uint64_t> counts;
    for (std::size_t i = 0; i < tables_.size(); ++i) counts[tables_[i].name] = counts_[i];
    return counts;
  }

 private:
  /// One sink's failure ends all: closed whole, the HDF5 file would claim that CSV says the same.
  void on_every_sink(void (RowSink::*act)()) {
    if (failure_) std::rethrow_exception(failure_);
    try {
      for (const auto& sink : sinks_) ((*sink).*act)();
    } catch (...) {
      failure_ = std::current_exception();
      for (const auto& sink : sinks_) sink->abandon();
      throw;
    }
    flushed_ = Clock::now();
  }

  std::size_t index_of(const std::string& name) const {
    const auto table = std::ranges::find(tables_, name, &MetricTable::name);
    if (table == tables_.end())
      throw_misuse("metric table '" + name + "' was never declared", "declare it before the first row");
    return static_cast<std::size_t>(table - tables_.begin());
  }

  /// An integer is taken where a float is declared.
  static MetricValue fit(const MetricValue& value, const MetricColumn& column, const std::string& table) {
    const auto* integer = std::get_if<std::int64_t>(&value);
    if (column.type == MetricType::floating) return integer ? static_cast<double>(*integer) : value;
    if (!integer)
      throw_misuse(
          "column '" + column.name + "' of table '" + table + "' is an integer and was given a float",
          "declare it floating, or give an integer");
    return value;
  }

  void store(std::size_t table, const MetricRow& row) {
    for (const auto& sink : sinks_) sink->append(table, row);
    ++counts_[table];
  }

  void carry(const CarriedRows& carried) {
    const std::filesystem::path file = AttemptPaths(carried.attempt_folder).metrics_h5();
    const MetricReader earlier(file);
    for (const auto& [name, count] : carried.rows) {
      if (count == 0) continue;
      const auto from = std::ranges::find(earlier.tables(), name, &MetricTable::name);
      const auto into = std::ranges::find(tables_, name, &MetricTable::name);
      if (from == earlier.tables().end() || into == tables_.end() ||
          !same_columns(*from, with_fixed_columns(*into)))
        throw Error(ExitCode::storage,
                    "cannot carry over table '" + name + "' of '" + file.string() +
                        "': the workload declares other columns than it did then",
                    "finish the task with the build that began it, or delete its folder to begin again");
      if (const std::uint64_t there = earlier.rows(name); there < count)
        throw Error(ExitCode::storage,
                    "'" + file.string() + "' has " + std::to_string(there) + " rows in table '" + name +
                        "' where the checkpoint counts " + std::to_string(count),
                    "delete the task's newest checkpoint, or its folder to begin again");
      const auto index = static_cast<std::size_t>(into - tables_.begin());
      for (std::uint64_t first = 0; first < count; first += kBlockRows) {
        for (const MetricRow& row : earlier.read(name, first, std::min(kBlockRows, count - first)))
          store(index, row);
        flush();
      }
    }
  }

  static bool same_columns(const MetricTable& left, const MetricTable& right) {
    return std::ranges::equal(left.columns, right.columns, [](const MetricColumn& a, const MetricColumn& b) {
      return a.name == b.name && a.type == b.type;
    });
  }

  int attempt_;
  std::vector<MetricTable> tables_;
  std::vector<std::unique_ptr<RowSink>> sinks_;
  std::vector<std::uint64_t> counts_;
  MetricRow whole_row_;
  Clock::time_point flushed_ = Clock::now();
  std::exception_ptr failure_;
};

}  // namespace

std::unique_ptr<MetricSink> open_metric_sink(const MetricSinkOptions& options) {
  check_tables(options.tables);
  MUSTER_ASSERT(options.attempt > 0);
  std::vector<MetricTable> whole;
  for (const MetricTable& table : options.tables) whole.push_back(with_fixed_columns(table));
  try {
    return std::make_unique<AttemptSink>(options, whole);
  } catch (...) {
    discard_staged(AttemptPaths(options.attempt_folder).metrics_h5());
    for (const auto& path : csv_paths(options.attempt_folder, whole)) discard_staged(path);
    throw;
  }
}

}  // namespace muster
