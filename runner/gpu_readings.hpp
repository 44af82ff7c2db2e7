#pragma once
/// What readings of a GPU come to, and how they stand in a task's metrics: results/README.md. Pure.

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "core/metric_schema.hpp"
#include "core/nvml.hpp"

namespace muster {

/// A GPU that is read: the place that it has among the GPUs of the first rank that computes on it.
struct SampledGpu {
  std::int64_t rank = 0;
  std::int64_t gpu = 0;
  std::string uuid;
};

/// One row of `gpu`. NaN: the GPU does not tell. Travels between ranks as it is.
struct GpuSample {
  std::int64_t rank = 0;
  std::int64_t gpu = 0;
  double seconds = 0;  ///< since the ranks met
  double memory_used = std::numeric_limits<double>::quiet_NaN();
  double utilisation = std::numeric_limits<double>::quiet_NaN();
  double power = std::numeric_limits<double>::quiet_NaN();
  double energy = std::numeric_limits<double>::quiet_NaN();
};

/// One row of `gpu_total`.
struct GpuTotal {
  std::int64_t rank = 0;
  std::int64_t gpu = 0;
  double seconds = 0;
  double memory_peak = std::numeric_limits<double>::quiet_NaN();
  double energy = std::numeric_limits<double>::quiet_NaN();
};

/// Of one GPU, reading by reading.
class GpuTally {
 public:
  explicit GpuTally(SampledGpu gpu);
  const std::string& uuid() const { return gpu_.uuid; }
  GpuSample add(const GpuReading& reading, double seconds);
  const GpuTotal& total() const { return total_; }

 private:
  SampledGpu gpu_;
  GpuTotal total_;
  std::optional<double> first_energy_;
};

/// `gpu` and `gpu_total`.
const std::vector<MetricTable>& gpu_tables();
std::vector<MetricValue> row_of(const GpuSample& sample);
std::vector<MetricValue> row_of(const GpuTotal& total);

}  // namespace muster
