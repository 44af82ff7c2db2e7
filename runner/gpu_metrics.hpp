#pragma once
/// A gang's GPUs among its metrics.

#include <memory>
#include <vector>

#include "runner/binding.hpp"
#include "runner/comm/queued_communicator.hpp"
#include "runner/gpu_sampler.hpp"
#include "runner/task_metrics.hpp"

namespace muster {

/// What rank `own` reads for all ranks of its host: the first rank of a host each GPU that the driver shows,
/// once; another rank none. Pure. `ranks`: of the whole gang, in order.
std::vector<SampledGpu> gpus_to_sample(const std::vector<RankBinding>& ranks, int own);

/// The first rank of each host reads its GPUs. Rank 0 writes: its own host's while the workload goes on, the
/// others' at the end.
class GpuMetrics {
 public:
  /// Null, on every rank, where the driver shows none of the gang's GPUs.
  static std::unique_ptr<GpuMetrics> of_gang(const std::vector<RankBinding>& ranks, int own);

  /// Rank 0, now and then. Nothing before the workload has declared its metrics.
  void write(TaskMetrics& metrics);
  /// Every rank must call this, once.
  void finish(QueuedCommunicator& control, TaskMetrics& metrics);

 private:
  GpuMetrics(const std::vector<SampledGpu>& gpus, std::vector<int> readers);

  std::vector<int> readers_;  // The first rank of each host that has GPUs to read.
  GpuSampler sampler_;
};

}  // namespace muster
