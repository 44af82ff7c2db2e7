#include "runner/task_metrics.hpp"

#include <chrono>

#include "core/error.hpp"
#include "core/run_paths.hpp"
#include "runner/gpu_readings.hpp"
#include "runner/timed_scope.hpp"

namespace muster {
namespace {

constexpr double kFlushSeconds = 1;

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

TaskMetrics::TaskMetrics(std::unique_ptr<MetricSinkOptions> options, bool with_gpus)
    : options_(std::move(options)), with_gpus_(with_gpus) {}

void TaskMetrics::declare(const std::vector<MetricTable>& tables) {
  if (options_ == nullptr) return;
  if (declared_)
    throw Error(ExitCode::internal, "the workload declares its metrics twice",
                "declare all tables in one call: HDF5 can add none once readers follow the file");
  declared_ = true;
  options_->tables = tables;
}

void TaskMetrics::append(const std::string& table, const std::vector<MetricValue>& row) {
  if (options_ == nullptr) return;
  const TimedScope timed(seconds_);
  open();
  sink_->append(table, row);
}

void TaskMetrics::flush() {
  if (options_ == nullptr || !declared_) return;
  const TimedScope timed(seconds_);
  open();
  sink_->flush();
  flushed_ = seconds_now();
}

void TaskMetrics::carry(const CarriedRows& rows) {
  if (options_ == nullptr) return;
  if (sink_ != nullptr)
    throw Error(ExitCode::internal, "the workload loads a checkpoint after its first metric row",
                "call load_newest before anything is appended");
  options_->carried = std::make_shared<const CarriedRows>(rows);
}

std::map<std::string, std::uint64_t> TaskMetrics::sync() {
  if (options_ == nullptr || !declared_) return {};
  const TimedScope timed(seconds_);
  open();
  sink_->sync();
  flushed_ = seconds_now();
  return sink_->row_counts();
}

void TaskMetrics::flush_if_due() {
  if (sink_ != nullptr && seconds_now() - flushed_ >= kFlushSeconds) flush();
}

void TaskMetrics::close() {
  if (options_ == nullptr || !declared_) return;
  const TimedScope timed(seconds_);
  open();
  sink_->sync();
  sink_.reset();
  options_.reset();
}

void TaskMetrics::open() {
  if (sink_ != nullptr) return;
  if (!declared_)
    throw Error(ExitCode::internal, "the workload appends a metric row before it has declared its metrics",
                "call metrics().declare first");
  // Whoever wrote those rows is dead; a batch job's end leaves no launcher to mend its file.
  if (options_->carried != nullptr)
    mend_metrics(AttemptPaths(options_->carried->attempt_folder).metrics_h5());
  add_gpu_tables();
  sink_ = open_metric_sink(*options_);
  flushed_ = seconds_now();
}

/// An attempt that sees no GPU still carries the rows of one that did.
void TaskMetrics::add_gpu_tables() {
  for (const MetricTable& table : gpu_tables()) {
    const bool carried = options_->carried != nullptr && options_->carried->rows.contains(table.name);
    if (with_gpus_ || carried) options_->tables.push_back(table);
  }
}

}  // namespace muster
