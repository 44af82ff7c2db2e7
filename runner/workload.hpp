#pragma once
/// The plugin contract: the only header of ours, with core/, that a workload needs.
///
/// A workload is a shared object that exports one C function, `muster_workload`, returning a static
/// WorkloadPlugin. The runner checks `abi` before it touches anything else, creates one Workload a task and
/// calls run() on every rank. A workload keeps no global state: one process may run many tasks, one after the
/// other.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/metric_schema.hpp"
#include "core/safetensors.hpp"
#include "core/task.hpp"
#include "core/workload_schema.hpp"
#include "runner/communicator.hpp"
#include "runner/device_communicator.hpp"

namespace muster {

/// Raised whenever this header or one that it includes changes in a way that a compiled plugin would notice.
inline constexpr int kWorkloadAbi = 3;

/// Where this rank computes. The CPU set is already bound.
struct Device {
  enum class Kind { cpu, cuda } kind = Kind::cpu;
  int index = 0;    ///< of the CUDA device as this process sees it
  int threads = 1;  ///< CPUs of this rank: use as many threads
};

/// Metrics of the attempt. Rank 0 writes; on other ranks every call is accepted and does nothing.
/// On resume the rows up to the checkpoint are there already.
class Metrics {
 public:
  virtual ~Metrics() = default;
  /// Once, before the first append: nothing can be added later (HDF5 SWMR). Rank-local.
  virtual void declare(const std::vector<MetricTable>& tables) = 0;
  /// A row of the table, one value a declared column, in order. Buffered; on disk within a second or at
  /// flush.
  virtual void append(const std::string& table, const std::vector<MetricValue>& row) = 0;
  virtual void flush() = 0;
};

/// What a checkpoint holds. `shared` counts on rank 0 only; `own` is each rank's (residuals, slices,
/// generators).
struct CheckpointState {
  std::int64_t step = 0;  ///< optimiser steps done
  std::vector<TensorView> shared;
  std::vector<TensorView> own;
  std::map<std::string, std::string>
      metadata;  ///< small things: epoch, generator states, bucket assignment (rank 0's)
};

/// A checkpoint that was found and verified; mapped until destroyed.
struct LoadedCheckpoint {
  std::int64_t step = 0;
  std::shared_ptr<SafetensorsFile> shared;
  std::shared_ptr<SafetensorsFile> own;  ///< of this rank
  std::map<std::string, std::string> metadata;
};

/// The task's checkpoints, of all attempts. Every rank must call each method.
class Checkpoints {
 public:
  virtual ~Checkpoints() = default;
  /// Written aside, fsynced, renamed into place once all ranks have written; the last two are kept.
  /// Metric rows appended before the call belong to it. Throws Error(storage); then the older checkpoints
  /// still stand.
  virtual void save(const CheckpointState& state) = 0;
  /// The newest whose checksums hold on every rank; a damaged one is reported in the log and passed over.
  /// nullopt: start from the beginning. Throws Error(checkpoint) where checkpoints exist and none can be
  /// read.
  virtual std::optional<LoadedCheckpoint> load_newest() = 0;
};

/// What to do after a step, the same on every rank.
enum class AfterStep { go_on, save, save_and_stop };

struct Progress {
  std::int64_t step = 0;
  std::int64_t total_steps = 0;
  std::string note;  ///< "epoch 3/24 loss 1.21 acc 0.54": for the progress display; may be empty
};

/// Everything a workload is handed. Lives as long as run().
class Context {
 public:
  virtual ~Context() = default;
  virtual const Task& task() const = 0;
  virtual Communicator& communicator() = 0;
  virtual const Device& device() const = 0;
  /// Between the ranks' GPUs, without a way through host memory; the same one at every call. Null where ranks
  /// have none, share them, or are alone, and where they cannot be connected: the log says why. The first
  /// call is collective.
  virtual DeviceCommunicator* device_communicator() = 0;
  virtual Metrics& metrics() = 0;
  virtual Checkpoints& checkpoints() = 0;
  virtual const std::filesystem::path& artifacts() const = 0;  ///< for files worth keeping; rank 0 makes them

  /// After every step, on every rank (a small collective): agrees on saving and stopping by signal, stop
  /// file, deadline and the checkpoint policy. On `save` call checkpoints().save; on `save_and_stop` call it
  /// and return from run() with Outcome::stopped.
  virtual AfterStep after_step(const Progress& progress) = 0;

  /// A line in the task's log, from rank 0 unless `every_rank`.
  virtual void log(const std::string& line, bool every_rank = false) = 0;
};

enum class Outcome { finished, stopped };

class Workload {
 public:
  virtual ~Workload() = default;
  /// Called once on every rank. Throws Error to fail the task with its cause; the runner then aborts the
  /// gang.
  virtual Outcome run(Context& context) = 0;
};

/// What `muster_workload` returns. `abi` stays first for ever.
struct WorkloadPlugin {
  int abi = kWorkloadAbi;
  WorkloadSchema (*schema)() = nullptr;
  std::unique_ptr<Workload> (*create)() = nullptr;
};

}  // namespace muster

/// Defines the exported function of a plugin: MUSTER_WORKLOAD(MyWorkload) where MyWorkload has `static
/// WorkloadSchema schema()`.
#define MUSTER_WORKLOAD(Type)                                                                           \
  extern "C" __attribute__((visibility("default"))) const ::muster::WorkloadPlugin* muster_workload() { \
    static const ::muster::WorkloadPlugin plugin{                                                       \
        ::muster::kWorkloadAbi, &Type::schema,                                                          \
        []() -> std::unique_ptr<::muster::Workload> { return std::make_unique<Type>(); }};              \
    return &plugin;                                                                                     \
  }
