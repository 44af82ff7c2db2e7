#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <random>
#include <sstream>
#include <thread>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "results/csv_row_sink.hpp"
#include "results/metric_reader.hpp"
#include "results/metric_sink.hpp"
#include "tests/results/sample_metrics.hpp"
#include "tests/support/processes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::TemporaryFolder;

/// metric_writer, killed after `life`. Returns the rows of table "step" that it said were flushed.
std::int64_t write_and_kill(const TemporaryFolder& folder, const std::string& rows_a_flush,
                            const std::string& pause_us, const std::string& visibility,
                            std::chrono::microseconds life) {
  const TemporaryFolder elsewhere;
  testing::ProcessOptions options;
  options.output = elsewhere / "said";
  testing::Process writer({METRIC_WRITER, folder.path(), "1000000000", rows_a_flush, pause_us, visibility},
                          options);
  std::this_thread::sleep_for(life);
  writer.signal(SIGKILL);
  EXPECT_EQ(writer.wait(), 128 + SIGKILL)
      << "the writer ended by itself: " << testing::text_of(options.output);
  std::istringstream said(testing::text_of(options.output));
  std::int64_t flushed = 0;
  while (said >> flushed) continue;
  return flushed;
}

/// Every row of both tables, where the HDF5 file and the CSV file hold the same; fails the test otherwise.
std::int64_t expect_whole(const std::filesystem::path& folder) {
  const MetricReader reader(folder / "metrics.h5");
  EXPECT_TRUE(reader.clean());
  const auto files = csv_paths(folder, reader.tables());
  for (std::size_t t = 0; t < 2; ++t) {
    const std::string& name = reader.tables()[t].name;
    const auto rows = reader.read(name, 0, reader.rows(name));
    std::string csv = t == 0 ? "attempt,unix_time,step,loss\n" : "attempt,unix_time,epoch,throughput\n";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const auto number = static_cast<std::int64_t>(i);
      const MetricRow expected = t == 0 ? step_row(number) : epoch_row(number);
      if (MetricRow{rows[i][2], rows[i][3]} != expected) {
        ADD_FAILURE() << "row " << i << " of table " << name << " is damaged";
        return -1;
      }
      for (std::size_t c = 0; c < 4; ++c) {
        append_csv_number(csv, rows[i][c]);
        csv += c < 3 ? ',' : '\n';
      }
    }
    EXPECT_EQ(read_text(files[t]) == csv, true) << files[t];
  }
  return static_cast<std::int64_t>(reader.rows("step"));
}

TEST(MendMetrics, KeepsEveryFlushedRowOfAWriterKilledAtAnyTime) {
  std::mt19937 random(3);
  int with_rows = 0;
  for (int trial = 0; trial < 50; ++trial) {
    const TemporaryFolder folder;
    const auto life = std::chrono::microseconds(std::uniform_int_distribution(2000, 250000)(random));
    const std::int64_t flushed =
        write_and_kill(folder, std::to_string(1 + trial % 7 * 50), trial % 2 ? "0" : "20", "swmr", life);
    mend_metrics(folder / "metrics.h5");
    if (!std::filesystem::exists(folder / "metrics.h5")) {
      EXPECT_EQ(flushed, 0);
      continue;
    }
    const std::int64_t rows = expect_whole(folder.path());
    EXPECT_GE(rows, flushed) << "trial " << trial;
    with_rows += rows > 0;
  }
  EXPECT_GT(with_rows, 25) << "most writers must have lived long enough to write";
}

TEST(MendMetrics, TouchesNoByteOfACleanFile) {
  const TemporaryFolder folder;
  { open_metric_sink(sample_options(folder.path()))->append("step", step_row(0)); }
  const auto file = folder / "metrics.h5";
  const std::string before = read_text(file);
  const auto written = std::filesystem::last_write_time(file);
  mend_metrics(file);
  EXPECT_EQ(read_text(file), before);
  EXPECT_EQ(std::filesystem::last_write_time(file), written);
}

TEST(MendMetrics, MendsAFileThatIsMendedNoFurther) {
  const TemporaryFolder folder;
  write_and_kill(folder, "10", "20", "swmr", std::chrono::milliseconds(150));
  const auto file = folder / "metrics.h5";
  EXPECT_FALSE(MetricReader(file).clean());
  mend_metrics(file);
  const std::string once = read_text(file);
  mend_metrics(file);
  EXPECT_EQ(read_text(file), once);
}

TEST(MendMetrics, CutsATornLineOffTheCsv) {
  const TemporaryFolder folder;
  write_and_kill(folder, "10", "20", "swmr", std::chrono::milliseconds(150));
  const auto csv = folder / "metrics.csv";
  const std::string text = read_text(csv);
  std::filesystem::resize_file(csv, text.size() - 5);
  mend_metrics(folder / "metrics.h5");
  EXPECT_GT(expect_whole(folder.path()), 0);
}

TEST(MendMetrics, BeginsAgainWhereItWasInterrupted) {
  const TemporaryFolder folder;
  write_and_kill(folder, "10", "20", "swmr", std::chrono::milliseconds(150));
  const auto file = folder / "metrics.h5";
  const TemporaryFolder kept;
  std::filesystem::copy(folder.path(), kept.path());
  mend_metrics(file);
  const std::int64_t rows = expect_whole(folder.path());
  // Killed before the last rename: new CSV files, the old HDF5 file, and a staged one of unknown content.
  std::filesystem::copy_file(kept / "metrics.h5", file, std::filesystem::copy_options::overwrite_existing);
  write_durably(folder / "metrics.h5.new", "half a file");
  mend_metrics(file);
  EXPECT_EQ(expect_whole(folder.path()), rows);
  EXPECT_FALSE(std::filesystem::exists(folder / "metrics.h5.new"));
}

TEST(MendMetrics, LeavesTheOldFilesWhereThereIsNoRoomForNewOnes) {
  const TemporaryFolder folder;
  write_and_kill(folder, "10", "20", "swmr", std::chrono::milliseconds(300));
  const auto file = folder / "metrics.h5";
  const std::string before = read_text(file);
  rlimit whole{};
  ::getrlimit(RLIMIT_FSIZE, &whole);
  rlimit small = whole;
  small.rlim_cur = 8192;
  ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  EXPECT_THROW(mend_metrics(file), Error);
  ::setrlimit(RLIMIT_FSIZE, &whole);
  EXPECT_EQ(read_text(file), before);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_NE(entry.path().extension(), ".new") << entry.path();
  mend_metrics(file);
  EXPECT_GT(expect_whole(folder.path()), 0);
}

TEST(MendMetrics, HasNothingToDoWhereTheWriterNeverBegan) {
  const TemporaryFolder folder;
  mend_metrics(folder / "metrics.h5");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(MendMetrics, NamesAFileThatIsNoHdf5) {
  const TemporaryFolder folder;
  write_durably(folder / "metrics.h5", "nothing of the kind");
  try {
    mend_metrics(folder / "metrics.h5");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::storage);
    EXPECT_NE(std::string(error.what()).find("metrics.h5"), std::string::npos) << error.what();
  }
}

TEST(MendMetrics, MendsWhatAWriterWithoutSwmrLeft) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 10; ++trial) {
    const TemporaryFolder folder;
    const auto life = std::chrono::microseconds(std::uniform_int_distribution(20000, 150000)(random));
    const std::int64_t flushed = write_and_kill(folder, "10", "20", "flush", life);
    mend_metrics(folder / "metrics.h5");
    if (std::filesystem::exists(folder / "metrics.h5")) {
      EXPECT_GE(expect_whole(folder.path()), flushed);
    }
  }
}

}  // namespace
}  // namespace muster
