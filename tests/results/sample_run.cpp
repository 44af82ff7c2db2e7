/// Writes a small run as a launcher and its gangs would: sample_run EXPERIMENT_FOLDER RUN_NAME
/// Task 0 has two attempts, task 1 one, task 2 has not begun.

#include <cstdio>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/run_paths.hpp"
#include "results/sweep_index.hpp"
#include "tests/results/sample_metrics.hpp"

namespace {

using namespace muster;

void write_attempt(const std::filesystem::path& task, int attempt, std::int64_t steps, std::int64_t carried) {
  const auto folder = task / ("attempt-" + std::to_string(attempt));
  make_folders(folder);
  MetricSinkOptions options = sample_options(folder, attempt);
  if (carried > 0)
    options.carried = std::make_shared<CarriedRows>(
        CarriedRows{task / ("attempt-" + std::to_string(attempt - 1)),
                    {{"step", static_cast<std::uint64_t>(carried)}, {"epoch", 1}}});
  const auto sink = open_metric_sink(options);
  for (std::int64_t step = carried; step < steps; ++step) {
    sink->append("step", step_row(step));
    if (step % 10 == 0) sink->append("epoch", epoch_row(step / 10));
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  try {
    const std::filesystem::path experiment = arguments[1];
    const std::filesystem::path run = experiment / arguments[2];
    std::vector<SweepEntry> entries;
    for (int number = 0; number < 3; ++number) {
      SweepEntry entry;
      entry.number = number;
      entry.task.label = "lr-" + std::to_string(number);
      entry.task.id = "1234567" + std::to_string(number);
      entry.task.parameters = {
          {"lr", 0.1 * number}, {"nesterov", number == 1}, {"network", "résnet9"}, {"seed", number}};
      entry.task_folder = experiment / "tasks" / entry.task.folder_name();
      make_folders(entry.task_folder);
      write_task(entry.task, TaskPaths(entry.task_folder).task_file());
      entry.state = number == 2 ? "pending" : "done";
      if (number == 0) write_attempt(entry.task_folder, 1, 25, 0);
      if (number == 0) write_attempt(entry.task_folder, 2, 30, 10);
      if (number == 1) write_attempt(entry.task_folder, 1, 20, 0);
      if (number < 2) {
        entry.attempts = 2 - number;
        entry.seconds = 1.5;
        entry.metrics_h5 = entry.task_folder / ("attempt-" + std::to_string(entry.attempts)) / "metrics.h5";
        entry.final_metrics = last_row(entry.metrics_h5, "");
      }
      entries.push_back(entry);
    }
    make_folders(run);
    write_sweep_index(run / "sweep.h5", run / "summary.csv", entries);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
