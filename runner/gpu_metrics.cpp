#include "runner/gpu_metrics.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace muster {
namespace {

/// Those of rank `from`, on every rank. Every rank must call this.
template <typename T>
std::vector<T> share(QueuedCommunicator& control, std::vector<T> items, int from) {
  std::size_t count = items.size();
  control.broadcast(&count, sizeof count, from)->wait();
  items.resize(count);
  if (count > 0) control.broadcast(items.data(), count * sizeof(T), from)->wait();
  return items;
}

template <typename T>
void append(TaskMetrics& metrics, const std::string& table, const std::vector<T>& items) {
  for (const T& item : items) metrics.append(table, row_of(item));
}

}  // namespace

std::vector<SampledGpu> gpus_to_sample(const std::vector<RankBinding>& ranks, int own) {
  const RankBinding& reader = ranks.at(static_cast<std::size_t>(own));
  std::vector<SampledGpu> gpus;
  std::set<std::string> known;
  for (const RankBinding& rank : ranks) {
    if (!on_one_host(rank, reader)) continue;
    if (rank.rank < own) return {};
    for (std::size_t index = 0; index < rank.gpus.size(); ++index) {
      const BoundGpu& gpu = rank.gpus[index];
      if (gpu.seen && known.insert(gpu.uuid).second)
        gpus.push_back({rank.rank, static_cast<std::int64_t>(index), gpu.uuid});
    }
  }
  return gpus;
}

std::unique_ptr<GpuMetrics> GpuMetrics::of_gang(const std::vector<RankBinding>& ranks, int own) {
  std::vector<int> readers;
  for (const RankBinding& rank : ranks) {
    if (!gpus_to_sample(ranks, rank.rank).empty()) readers.push_back(rank.rank);
  }
  if (readers.empty()) return nullptr;
  return std::unique_ptr<GpuMetrics>(new GpuMetrics(gpus_to_sample(ranks, own), std::move(readers)));
}

GpuMetrics::GpuMetrics(const std::vector<SampledGpu>& gpus, std::vector<int> readers)
    : readers_(std::move(readers)), sampler_(gpus) {}

void GpuMetrics::write(TaskMetrics& metrics) {
  if (metrics.declared()) append(metrics, "gpu", sampler_.take());
}

void GpuMetrics::finish(QueuedCommunicator& control, TaskMetrics& metrics) {
  const std::vector<GpuTotal> totals = sampler_.stop();
  const std::vector<GpuSample> samples = sampler_.take();
  for (const int reader : readers_) {
    // What rank 0 read itself need not travel.
    const auto samples_of_reader = reader == 0 ? samples : share(control, samples, reader);
    const auto totals_of_reader = reader == 0 ? totals : share(control, totals, reader);
    if (!metrics.declared()) continue;
    append(metrics, "gpu", samples_of_reader);
    append(metrics, "gpu_total", totals_of_reader);
  }
}

}  // namespace muster
