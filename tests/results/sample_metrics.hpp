#pragma once
/// Two tables and their rows, as tests and metric_writer agree on them.

#include <filesystem>
#include <vector>

#include "results/metric_sink.hpp"

namespace muster {

inline MetricTable step_table() {
  return {"step",
          {{"step", MetricType::integer, "1", "optimiser steps done"},
           {"loss", MetricType::floating, "1", "mean loss of the step"}}};
}

inline MetricTable epoch_table() {
  return {"epoch",
          {{"epoch", MetricType::integer, "1", "epochs done"},
           {"throughput", MetricType::floating, "images/s", "of all ranks"}}};
}

inline std::vector<MetricValue> step_row(std::int64_t step) {
  return {step, 1.0 / static_cast<double>(step + 1)};
}
inline std::vector<MetricValue> epoch_row(std::int64_t epoch) {
  return {epoch, 100.0 + 0.1 * static_cast<double>(epoch)};
}

inline MetricSinkOptions sample_options(const std::filesystem::path& attempt_folder, int attempt = 1) {
  return {attempt_folder, attempt, "0123abcd", {step_table(), epoch_table()}, nullptr};
}

}  // namespace muster
