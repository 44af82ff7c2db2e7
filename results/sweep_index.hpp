#pragma once
/// The index of a run: sweep.h5 and summary.csv, written by the launcher whenever a task changes state.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/metric_schema.hpp"
#include "core/task.hpp"

namespace muster {

/// What the index says of one task.
struct SweepEntry {
  int number = 0;  ///< task-N, fixed for the life of a run
  Task task;
  std::string state;
  int attempts = 0;
  double seconds = 0;  ///< wall time over all attempts
  std::filesystem::path task_folder;
  std::filesystem::path metrics_h5;                  ///< the last attempt's; empty: none yet
  std::map<std::string, MetricValue> final_metrics;  ///< last row of the first table
};

/// Both written aside and renamed. sweep.h5: /tasks (a compound row a task, the columns of summary.csv) and
/// /metrics/task-N, an external link to the task's metrics file, relative to the run's folder. Throws
/// Error(storage).
void write_sweep_index(const std::filesystem::path& sweep_h5, const std::filesystem::path& summary_csv,
                       const std::vector<SweepEntry>& entries);

}  // namespace muster
