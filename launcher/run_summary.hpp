#pragma once
/// What a run came to: the table at its end, sweep.h5 and summary.csv.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/journal.hpp"
#include "launcher/plan.hpp"
#include "launcher/supervised_task.hpp"
#include "results/sweep_index.hpp"

namespace muster {

/// A number of a task's last row, as the table shows it.
struct FinalMetric {
  std::string name;
  std::string unit;
  MetricValue value;
};

/// The last row of the attempt's first table in declared order, without `attempt` and `unix_time`; empty
/// where there is no file or none that can be read.
std::vector<FinalMetric> final_metrics_of(const std::filesystem::path& metrics_h5);

/// A task's line in the table.
struct TaskSummary {
  int number = 0;
  std::string name;
  Task task;
  std::filesystem::path folder;
  TaskState state = TaskState::pending;
  int attempts = 0;
  double seconds = 0;
  std::string reason;
  std::filesystem::path metrics_h5;
  std::vector<FinalMetric> metrics;
  std::optional<double> speedup;     ///< rate(N ranks) / rate(1 rank) of otherwise equal tasks
  std::optional<double> efficiency;  ///< speedup / N
};

/// Tasks as their folders and the journal tell them, without a launcher.
std::vector<SupervisedTask> look_at_tasks(const ExperimentPaths& experiment,
                                          const std::vector<PlannedTask>& planned,
                                          const std::map<std::string, JournalEntry>& journal);

std::vector<TaskSummary> summarize(const std::vector<SupervisedTask>& tasks);

/// Fills speedup and efficiency from the final metric `images_per_second`, where the same task ran with one
/// rank too.
void add_scaling(std::vector<TaskSummary>& tasks);

/// A table a workload: what one measures is no column of another's.
std::string summary_table(const std::vector<TaskSummary>& tasks);
std::string summary_json(const std::filesystem::path& run_folder, const std::vector<TaskSummary>& tasks);

std::vector<SweepEntry> sweep_entries(const std::vector<TaskSummary>& tasks);

}  // namespace muster
