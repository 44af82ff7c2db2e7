#include "results/metric_sink.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <functional>
#include <sstream>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "results/csv_row_sink.hpp"
#include "results/metric_reader.hpp"
#include "tests/results/sample_metrics.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using testing::TemporaryFolder;

using ::testing::HasSubstr;

std::vector<std::string> names_in(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::istringstream text(read_text(file));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(line);
  return lines;
}

void expect_error(ExitCode code, const std::string& words, const std::function<void()>& act) {
  try {
    act();
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), HasSubstr(words));
  }
}

TEST(MetricSink, LeavesACleanFileAndItsCsv) {
  const TemporaryFolder folder;
  {
    const auto sink = open_metric_sink(sample_options(folder.path()));
    for (int i = 0; i < 5; ++i) sink->append("step", step_row(i));
    sink->append("epoch", epoch_row(0));
    EXPECT_EQ(sink->row_counts(), (std::map<std::string, std::uint64_t>{{"step", 5}, {"epoch", 1}}));
  }
  EXPECT_EQ(names_in(folder.path()),
            (std::vector<std::string>{"metrics-epoch.csv", "metrics.csv", "metrics.h5"}));
  const MetricReader reader(folder / "metrics.h5");
  EXPECT_TRUE(reader.clean());
  EXPECT_EQ(reader.header().task_id, "0123abcd");
  EXPECT_EQ(reader.header().attempt, 1);
  ASSERT_EQ(reader.rows("step"), 5u);
  const auto rows = reader.read("step", 0, 5);
  const auto lines = lines_of(folder / "metrics.csv");
  ASSERT_EQ(lines.size(), 6u);
  EXPECT_EQ(lines[0], "attempt,unix_time,step,loss");
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(std::get<std::int64_t>(rows[i][0]), 1);
    EXPECT_GT(std::get<double>(rows[i][1]), 1.6e9);
    EXPECT_EQ((MetricRow{rows[i][2], rows[i][3]}), step_row(static_cast<std::int64_t>(i)));
    std::string line;
    for (const auto& number : rows[i]) {
      if (!line.empty()) line += ',';
      append_csv_number(line, number);
    }
    EXPECT_EQ(lines[i + 1], line);
  }
}

TEST(MetricSink, KeepsUnitsAndHelpOfEveryColumn) {
  const TemporaryFolder folder;
  open_metric_sink(sample_options(folder.path()));
  const auto tables = MetricReader(folder / "metrics.h5").tables();
  ASSERT_EQ(tables.size(), 2u);
  EXPECT_EQ(tables[1].name, "epoch");
  ASSERT_EQ(tables[1].columns.size(), 4u);
  EXPECT_EQ(tables[1].columns[1].unit, "s");
  EXPECT_EQ(tables[1].columns[3].unit, "images/s");
  EXPECT_EQ(tables[1].columns[3].help, "of all ranks");
}

TEST(MetricSink, CarriesTheRowsOfTheCheckpointOverAndNoMore) {
  const TemporaryFolder folder;
  const auto first = folder / "attempt-1";
  const auto second = folder / "attempt-2";
  make_folders(first);
  make_folders(second);
  {
    const auto sink = open_metric_sink(sample_options(first));
    for (int i = 0; i < 10000; ++i) sink->append("step", step_row(i));
    sink->append("epoch", epoch_row(0));
  }
  MetricSinkOptions options = sample_options(second, 2);
  options.carried = std::make_shared<CarriedRows>(CarriedRows{first, {{"step", 9000}, {"epoch", 0}}});
  {
    const auto sink = open_metric_sink(options);
    EXPECT_EQ(sink->row_counts().at("step"), 9000u);
    sink->append("step", step_row(9000));
  }
  const MetricReader reader(second / "metrics.h5");
  ASSERT_EQ(reader.rows("step"), 9001u);
  EXPECT_EQ(reader.rows("epoch"), 0u);
  const auto rows = reader.read("step", 0, 9001);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(std::get<std::int64_t>(rows[i][2]), static_cast<std::int64_t>(i));
    ASSERT_EQ(std::get<std::int64_t>(rows[i][0]), i < 9000 ? 1 : 2);
  }
  EXPECT_EQ(lines_of(second / "metrics.csv").size(), 9002u);
}

TEST(MetricSink, RefusesToCarryOverRowsThatAreNotThere) {
  const TemporaryFolder folder;
  const auto second = folder / "attempt-2";
  make_folders(second);
  { open_metric_sink(sample_options(folder.path()))->append("step", step_row(0)); }
  MetricSinkOptions options = sample_options(second, 2);
  options.carried = std::make_shared<CarriedRows>(CarriedRows{folder.path(), {{"step", 2}}});
  expect_error(ExitCode::storage, "has 1 rows", [&] { open_metric_sink(options); });
  EXPECT_TRUE(names_in(second).empty());
  options.carried = std::make_shared<CarriedRows>(CarriedRows{folder.path(), {{"step", 1}}});
  options.tables[0].columns[1].name = "other";
  expect_error(ExitCode::storage, "other columns", [&] { open_metric_sink(options); });
}

TEST(MetricSink, RefusesRowsAndTablesThatDoNotFit) {
  const TemporaryFolder folder;
  const auto sink = open_metric_sink(sample_options(folder.path()));
  expect_error(ExitCode::internal, "never declared", [&] { sink->append("steps", step_row(0)); });
  expect_error(ExitCode::internal, "1 values for 2", [&] { sink->append("step", {std::int64_t{1}}); });
  expect_error(ExitCode::internal, "was given a float", [&] { sink->append("step", {1.0, 1.0}); });
  MetricSinkOptions twice = sample_options(folder.path());
  twice.tables[1].name = "step";
  expect_error(ExitCode::internal, "declared twice", [&] { open_metric_sink(twice); });
  MetricSinkOptions reserved = sample_options(folder.path());
  reserved.tables[0].columns[0].name = "attempt";
  expect_error(ExitCode::internal, "cannot have a column 'attempt'", [&] { open_metric_sink(reserved); });
}

TEST(MetricSink, NamesTheFolderThatIsNotThere) {
  expect_error(ExitCode::storage, "cannot open '/nonexistent/attempt-1'",
               [] { open_metric_sink(sample_options("/nonexistent/attempt-1")); });
}

TEST(MetricSink, SaysOnceMoreThatTheDeviceIsFull) {
  const TemporaryFolder folder;
  auto sink = open_metric_sink(sample_options(folder.path()));
  // Writes beyond this size fail as on a full disk (EFBIG), with the file descriptors that are open already.
  const rlimit before = [] {
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    return limit;
  }();
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 64 * 1024;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  for (int i = 0; i < 10000; ++i) sink->append("step", step_row(i));
  expect_error(ExitCode::storage, "File too large", [&] { sink->flush(); });
  expect_error(ExitCode::storage, "File too large", [&] { sink->sync(); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::testing::internal::CaptureStderr();
  sink.reset();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(LastRow, HasTheDeclaredColumnsOfTheLastRow) {
  const TemporaryFolder folder;
  const auto file = folder / "metrics.h5";
  EXPECT_TRUE(last_row(file, "step").empty());
  {
    const auto sink = open_metric_sink(sample_options(folder.path()));
    for (int i = 0; i < 3; ++i) sink->append("step", step_row(i));
  }
  const std::map<std::string, MetricValue> expected{{"step", std::int64_t{2}}, {"loss", 1.0 / 3}};
  EXPECT_EQ(last_row(file, "step"), expected);
  EXPECT_EQ(last_row(file, ""), expected);
  EXPECT_TRUE(last_row(file, "epoch").empty());
  EXPECT_TRUE(last_row(file, "no such table").empty());
}

}  // namespace
}  // namespace muster
