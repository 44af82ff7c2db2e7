#include "launcher/run_summary.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "results/metric_sink.hpp"
#include "tests/support/temporary_folder.hpp"

namespace muster {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TaskSummary task_of(int number, int ranks, double rate, const std::string& network = "a") {
  TaskSummary summary;
  summary.number = number;
  summary.name = "task-" + std::to_string(number);
  summary.task.workload = "ddp";
  summary.task.parameters = {{"network", Value(network)}};
  summary.task.resources.ranks = ranks;
  summary.state = TaskState::done;
  summary.attempts = 1;
  if (rate > 0) summary.metrics = {{"images_per_second", "1/s", rate}, {"exchange_seconds", "s", 3.5}};
  return summary;
}

TEST(RunSummary, SpeedupIsAgainstOneRankOfTheSameTask) {
  std::vector<TaskSummary> tasks{task_of(0, 1, 100), task_of(1, 2, 180), task_of(2, 4, 300),
                                 task_of(3, 2, 500, "b"), task_of(4, 2, 0)};
  add_scaling(tasks);
  EXPECT_FALSE(tasks[0].speedup);
  EXPECT_DOUBLE_EQ(*tasks[1].speedup, 1.8);
  EXPECT_DOUBLE_EQ(*tasks[1].efficiency, 0.9);
  EXPECT_DOUBLE_EQ(*tasks[2].efficiency, 0.75);
  EXPECT_FALSE(tasks[3].speedup) << "its one-rank task is another";
  EXPECT_FALSE(tasks[4].speedup) << "it has no rate";
  const std::string table = summary_table(tasks);
  EXPECT_THAT(table, HasSubstr("efficiency"));
  EXPECT_THAT(table, ::testing::ContainsRegex("task-1 +done +1 +0.0 +180 +1.8 +0.9"));
}

TEST(RunSummary, WithoutPairsThereAreNoSpeedupColumns) {
  std::vector<TaskSummary> tasks{task_of(0, 2, 100)};
  add_scaling(tasks);
  EXPECT_THAT(summary_table(tasks), Not(HasSubstr("speedup")));
}

TEST(RunSummary, TimesAndBytesAreLeftToTheFiles) {
  std::vector<TaskSummary> tasks{task_of(0, 1, 100)};
  EXPECT_THAT(summary_table(tasks), Not(HasSubstr("exchange_seconds")));
  const auto json = nlohmann::json::parse(summary_json("/run", tasks));
  EXPECT_EQ(json.at("tasks").at(0).at("metrics").at("exchange_seconds"), 3.5);
  EXPECT_EQ(sweep_entries(tasks).front().final_metrics.size(), 2u);
}

TEST(RunSummary, EachWorkloadHasATableOfItsOwn) {
  std::vector<TaskSummary> tasks{task_of(0, 1, 100), task_of(1, 1, 0), task_of(2, 1, 100)};
  tasks[1].task.workload = "fusion";
  tasks[1].metrics = {{"global_accuracy", "1", 0.5}};
  const std::string table = summary_table(tasks);
  const std::size_t second = table.find("global_accuracy");
  ASSERT_NE(second, std::string::npos);
  EXPECT_LT(table.find("task-2"), second);
  EXPECT_GT(table.find("task-1"), second);
  EXPECT_THAT(table.substr(table.find("global_accuracy")), Not(HasSubstr("images_per_second")));
}

TEST(RunSummary, FinalMetricsAreTheLastRowOfTheFirstTable) {
  testing::TemporaryFolder folder;
  MetricSinkOptions options;
  options.attempt_folder = folder.path();
  options.tables = {
      {"epoch", {{"epoch", MetricType::integer, "1", ""}, {"accuracy", MetricType::floating, "1", ""}}},
      {"step", {{"loss", MetricType::floating, "1", ""}}}};
  {
    const auto sink = open_metric_sink(options);
    sink->append("epoch", {std::int64_t{1}, 0.5});
    sink->append("epoch", {std::int64_t{2}, 0.75});
    sink->append("step", {9.0});
  }
  const auto metrics = final_metrics_of(folder / "metrics.h5");
  ASSERT_EQ(metrics.size(), 2u);
  EXPECT_EQ(metrics[0].name, "epoch");
  EXPECT_EQ(metrics[0].value, MetricValue(std::int64_t{2}));
  EXPECT_EQ(metrics[1].value, MetricValue(0.75));
  EXPECT_TRUE(final_metrics_of(folder / "none.h5").empty());
}

}  // namespace
}  // namespace muster
