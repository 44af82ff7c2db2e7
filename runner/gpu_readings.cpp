#include "runner/gpu_readings.hpp"

#include <cmath>
#include <utility>

namespace muster {

GpuTally::GpuTally(SampledGpu gpu) : gpu_(std::move(gpu)) {
  total_.rank = gpu_.rank;
  total_.gpu = gpu_.gpu;
}

GpuSample GpuTally::add(const GpuReading& reading, double seconds) {
  GpuSample sample{.rank = gpu_.rank, .gpu = gpu_.gpu, .seconds = seconds};
  sample.memory_used = reading.memory_used.value_or(sample.memory_used);
  sample.utilisation = reading.utilisation.value_or(sample.utilisation);
  sample.power = reading.power.value_or(sample.power);
  if (reading.energy) {
    if (!first_energy_) first_energy_ = reading.energy;
    sample.energy = *reading.energy - *first_energy_;
    total_.energy = sample.energy;
  }
  total_.seconds = seconds;
  // fmax of a number and NaN is the number.
  total_.memory_peak = std::fmax(total_.memory_peak, sample.memory_used);
  return sample;
}

const std::vector<MetricTable>& gpu_tables() {
  constexpr auto kInteger = MetricType::integer;
  constexpr auto kFloating = MetricType::floating;
  static const MetricColumn rank{"rank", kInteger, "1", "the first rank that computes on this GPU"};
  static const MetricColumn gpu{"gpu", kInteger, "1", "which of its GPUs, from 0, as in binding.json"};
  static const std::vector<MetricTable> tables{
      {"gpu",
       {rank,
        gpu,
        {"seconds", kFloating, "s", "since the ranks met"},
        {"memory_used", kFloating, "B", "of all processes on the GPU"},
        {"utilisation", kFloating, "1", "part of the last sampling period, up to 1 s, in which it computed"},
        {"power", kFloating, "W", "drawn by the whole card"},
        {"energy", kFloating, "J", "since the first reading"}}},
      {"gpu_total",
       {rank,
        gpu,
        {"seconds", kFloating, "s", "from the ranks' meeting to the last reading"},
        {"memory_peak", kFloating, "B", "the most that a reading showed"},
        {"energy", kFloating, "J", "from the first reading to the last"}}}};
  return tables;
}

std::vector<MetricValue> row_of(const GpuSample& sample) {
  return {sample.rank,        sample.gpu,   sample.seconds, sample.memory_used,
          sample.utilisation, sample.power, sample.energy};
}

std::vector<MetricValue> row_of(const GpuTotal& total) {
  return {total.rank, total.gpu, total.seconds, total.memory_peak, total.energy};
}

}  // namespace muster
