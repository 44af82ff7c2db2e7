#pragma once
/// The tables of every image classifier's training, and what makes up their rows.

#include <cstdint>
#include <string>
#include <vector>

#include "core/metric_schema.hpp"
#include "runner/workload.hpp"
#include "workloads/common/evaluation.hpp"

namespace muster::workloads {

/// `epoch` (first), `step`, `class` and `confusion`. `tested_on` says what epochs are tested on, and begins
/// the names of what that found: "test", say, for `test_accuracy`.
std::vector<MetricTable> image_metric_tables(const std::string& tested_on);

/// Sums over an epoch so far. Part of a checkpoint, so that a resumed epoch's row is the same.
struct EpochSums {
  double loss = 0;  ///< sum of the steps' mean losses
  std::int64_t steps = 0;
  double seconds = 0;           ///< training, without evaluation and checkpoints
  double exchange_busy = 0;     ///< s
  double exchange_exposed = 0;  ///< s
  double bookkeeping = 0;       ///< s in metrics and in agreeing on what to do next, of `seconds`
  std::int64_t payload_bytes = 0;
  std::int64_t bytes_sent = 0;
  std::int64_t bytes_received = 0;
};

/// For a checkpoint's metadata; doubles keep every bit.
std::string to_text(const EpochSums& sums);
/// Throws Error(checkpoint).
EpochSums epoch_sums_from(const std::string& text);

/// What one step adds.
struct StepFigures {
  double loss = 0;  ///< mean over all ranks
  double lr = 0;
  double seconds = 0;
  double exchange_busy = 0;
  double exchange_exposed = 0;
  std::int64_t payload_bytes = 0;
  std::int64_t bytes_sent = 0;
  std::int64_t bytes_received = 0;
};

EpochSums& operator+=(EpochSums& sums, const StepFigures& step);

/// What testing found.
struct TestFigures {
  Evaluation result;
  double seconds = 0;
};

/// Appends one row to `step`. `step` and `epoch` count from 1.
void append_step(Metrics& metrics, std::int64_t step, std::int64_t epoch, const StepFigures& figures);

/// Appends one row to `epoch`, and to `class` a row a class. `images` were trained on in this epoch. An epoch
/// that is not tested has NaN for test figures and no class rows: pass `test` null.
void append_epoch(Metrics& metrics, std::int64_t epoch, double lr, std::int64_t images, const EpochSums& sums,
                  const TestFigures* test);

/// Appends the whole confusion matrix.
void append_confusion(Metrics& metrics, std::int64_t epoch, const Evaluation& test);

}  // namespace muster::workloads
