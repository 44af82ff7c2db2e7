#pragma once
/// What a workload is handed, put together.

#include <memory>
#include <optional>
#include <string>

#include "runner/checkpoint_store.hpp"
#include "runner/comm/queued_communicator.hpp"
#include "runner/device_plan.hpp"
#include "runner/event_log.hpp"
#include "runner/gpu_metrics.hpp"
#include "runner/step_policy.hpp"
#include "runner/task_metrics.hpp"
#include "runner/workload.hpp"

namespace muster {

/// One attempt's context on one rank. Construction, destruction and finish are collective.
class TaskContext final : public Context {
 public:
  /// `communicator` is the workload's, `control` the runner's own. `gpus`: null where there are none to read.
  /// `gpu_lost` is what DeviceCommunicatorOptions::lost does. `deadline`: unix time. Throws Error(storage)
  /// and Error(busy).
  TaskContext(std::filesystem::path task_folder, int attempt, Task task, Device device,
              std::unique_ptr<QueuedCommunicator> communicator, std::unique_ptr<QueuedCommunicator> control,
              std::unique_ptr<GpuMetrics> gpus, std::function<void(const Error&)> gpu_lost,
              std::optional<double> deadline);

  const Task& task() const override { return task_; }
  Communicator& communicator() override { return *communicator_; }
  const Device& device() const override { return device_; }
  DeviceCommunicator* device_communicator() override;
  Metrics& metrics() override { return *metrics_; }
  Checkpoints& checkpoints() override { return *checkpoints_; }
  const std::filesystem::path& artifacts() const override { return artifacts_; }
  AfterStep after_step(const Progress& progress) override;
  void log(const std::string& line, bool every_rank = false) override;

  /// After run() has returned: metrics closed, the outcome told, all ranks here. The same outcome on every
  /// rank.
  Outcome finish(Outcome outcome);

 private:
  bool is_root() const { return control_->rank() == 0; }
  AfterStep own_wish();
  AfterStep agree(AfterStep wish);
  void tell_progress(const Progress& progress);

  std::filesystem::path task_folder_;
  int attempt_;
  Task task_;
  Device device_;
  std::filesystem::path artifacts_;
  std::unique_ptr<QueuedCommunicator> communicator_;
  std::unique_ptr<QueuedCommunicator> control_;
  std::unique_ptr<GpuMetrics> gpus_;  // Null: there are none to read.
  std::function<void(const Error&)> gpu_lost_;
  bool gpus_connected_ = false;  // Or tried to.
  std::unique_ptr<DeviceCommunicator> device_communicator_;
  Fence fence_;
  std::unique_ptr<EventLog> events_;  // Rank 0's.
  std::unique_ptr<TaskMetrics> metrics_;
  std::unique_ptr<CheckpointStore> checkpoints_;
  StepPolicy policy_;
  double began_;  // Unix time.
  Progress progress_;
  double progress_told_ = 0;
  double polled_ = 0;
  bool stop_requested_ = false;

  struct Round {
    std::int64_t wish = 0;
    std::int64_t slow = 0;
  };
  Round round_;  // Travels while the workload computes its next step.
  PendingWork pending_;
  bool steps_are_slow_ = false;
};

}  // namespace muster
