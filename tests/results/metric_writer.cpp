/// Writes metric rows until it is done or killed: the process that tests and proofs kill.
/// metric_writer FOLDER ROWS ROWS_A_FLUSH PAUSE_US [swmr|flush]
/// After each flush a line says how many rows of table "step" were flushed. Row i holds step i and loss
/// 1/(i+1); every tenth step adds a row to table "epoch".

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/error.hpp"
#include "results/csv_row_sink.hpp"
#include "results/hdf5_row_sink.hpp"
#include "tests/results/sample_metrics.hpp"

namespace {

using namespace muster;

/// What open_metric_sink gives, with a visibility of our choice.
class ChosenSinks {
 public:
  ChosenSinks(const std::filesystem::path& folder, Visibility visibility)
      : tables_{with_fixed_columns(step_table()), with_fixed_columns(epoch_table())},
        csv_(folder, tables_),
        hdf5_(folder / "metrics.h5", {"0123abcd", 1, visibility}, tables_) {
    flush();
    hdf5_.share();
    for (const auto& path : csv_paths(folder, tables_)) publish_file(path);
    publish_file(folder / "metrics.h5");
  }
  void append(std::size_t table, const std::vector<MetricValue>& row) {
    std::vector<MetricValue> whole{std::int64_t{1}, 1.5e9};
    whole.insert(whole.end(), row.begin(), row.end());
    csv_.append(table, whole);
    hdf5_.append(table, whole);
  }
  void flush() {
    csv_.flush();
    hdf5_.flush();
  }
  void close() {
    csv_.close();
    hdf5_.close();
  }

 private:
  std::vector<MetricTable> tables_;
  CsvRowSink csv_;
  Hdf5RowSink hdf5_;
};

template <typename Append, typename Flush>
void write_rows(long rows, long rows_a_flush, useconds_t pause, Append append, Flush flush) {
  for (long i = 0; i < rows; ++i) {
    append(0, step_row(i));
    if (i % 10 == 0) append(1, epoch_row(i / 10));
    if (pause > 0) ::usleep(pause);
    if ((i + 1) % rows_a_flush == 0) {
      flush();
      std::printf("%ld\n", i + 1);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return 2;
  const std::filesystem::path folder = arguments[1];
  const long rows = std::atol(arguments[2]);
  const long rows_a_flush = std::atol(arguments[3]);
  const auto pause = static_cast<useconds_t>(std::atol(arguments[4]));
  try {
    if (count > 5) {
      const bool swmr = std::string(arguments[5]) == "swmr";
      ChosenSinks sinks(folder, swmr ? Visibility::swmr : Visibility::flush);
      write_rows(
          rows, rows_a_flush, pause, [&](std::size_t table, const auto& row) { sinks.append(table, row); },
          [&] { sinks.flush(); });
      sinks.close();
    } else {
      const auto sink = open_metric_sink(sample_options(folder));
      write_rows(
          rows, rows_a_flush, pause,
          [&](std::size_t table, const auto& row) { sink->append(table == 0 ? "step" : "epoch", row); },
          [&] { sink->flush(); });
      sink->sync();
    }
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
