#pragma once
/// An attempt's metrics, as a workload sees them.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "results/metric_sink.hpp"
#include "runner/workload.hpp"

namespace muster {

/// Rank 0's writes metrics.h5 and CSV; the other ranks' does nothing. The files are made at the first row,
/// flush or checkpoint, so that declare() and load_newest() may come in either order.
class TaskMetrics final : public Metrics {
 public:
  /// `options` without tables and carried rows; null on ranks that do not write. `with_gpus`: gpu_tables()
  /// stand behind the workload's.
  explicit TaskMetrics(std::unique_ptr<MetricSinkOptions> options, bool with_gpus = false);

  void declare(const std::vector<MetricTable>& tables) override;
  void append(const std::string& table, const std::vector<MetricValue>& row) override;
  void flush() override;

  /// On rank 0, once the workload has.
  bool declared() const { return declared_; }
  /// Rows of the checkpoint that this attempt goes on from. Throws Error(internal) after the first row.
  void carry(const CarriedRows& rows);
  /// Rows so far are on disk; returns how many, by table. Nothing where none were declared.
  std::map<std::string, std::uint64_t> sync();
  /// Flushes where the last flush is a second ago.
  void flush_if_due();
  /// Leaves the files clean.
  void close();
  /// Seconds spent in all of the above, on rank 0.
  double seconds() const { return seconds_; }

 private:
  void open();
  void add_gpu_tables();

  std::unique_ptr<MetricSinkOptions> options_;
  std::unique_ptr<MetricSink> sink_;
  bool with_gpus_;
  bool declared_ = false;
  double flushed_ = 0;
  double seconds_ = 0;
};

}  // namespace muster
