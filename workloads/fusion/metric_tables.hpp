#pragma once
/// The tables of a fusion's training.

#include <cstdint>
#include <string>
#include <vector>

#include "core/metric_schema.hpp"
#include "runner/workload.hpp"
#include "workloads/common/gradient_norm.hpp"
#include "workloads/fusion/components.hpp"
#include "workloads/fusion/fused_evaluation.hpp"

namespace muster::workloads {

/// `epoch` (first) and `step`, for so many experts.
std::vector<MetricTable> fusion_metric_tables(std::size_t experts);

struct FusionRates {
  double experts = 0;
  double fusion = 0;
};

/// What one step showed.
struct FusionStep {
  std::vector<double> losses;  ///< means over all ranks: the whole loss, the global head's, each expert's
  ClippedNorm norm;            ///< of the gradient
  FusionRates rates;
  double seconds = 0;
  double exposed_seconds = 0;  ///< of the exchange, that no computation overlapped
};

/// Sums over an epoch so far. Part of a checkpoint, so that a resumed epoch's row is the same.
struct FusionEpochSums {
  std::int64_t steps = 0;
  double loss = 0;
  ClippedNorm norm;
  double seconds = 0;
  double exposed_seconds = 0;
};
FusionEpochSums& operator+=(FusionEpochSums& sums, const FusionStep& step);

/// For a checkpoint's metadata; doubles keep every bit. Reading throws Error(checkpoint).
std::string to_text(const FusionEpochSums& sums);
FusionEpochSums fusion_epoch_sums_from(const std::string& text);
std::string to_text(const BestEpoch& best);
/// Of so many experts.
BestEpoch best_epoch_from(const std::string& text, std::size_t experts);

/// `step` and `epoch` count from 1.
void append_step(Metrics& metrics, std::int64_t step, std::int64_t epoch, const FusionStep& figures);

/// `images` were trained on in this epoch.
void append_epoch(Metrics& metrics, std::int64_t epoch, std::int64_t images, const FusionEpochSums& sums,
                  const FusionRates& rates, const FusedEvaluation& validation, double validation_seconds,
                  const BestEpoch& best);

}  // namespace muster::workloads
