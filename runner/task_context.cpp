#include "runner/task_context.hpp"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/run_paths.hpp"
#include "core/unix_time.hpp"
#include "runner/cuda/load_module.hpp"
#include "runner/stop_signals.hpp"

namespace muster {
namespace {

constexpr double kPollSeconds = 0.2;
constexpr double kProgressSeconds = 0.5;
/// Below it ranks agree while they compute the next step, and act a step later; above it they wait for each
/// other.
constexpr double kSlowStepSeconds = 2;

std::unique_ptr<MetricSinkOptions> sink_options(const std::filesystem::path& task_folder, int attempt,
                                                const Task& task, int rank) {
  if (rank != 0) return nullptr;
  auto options = std::make_unique<MetricSinkOptions>();
  options->attempt_folder = TaskPaths(task_folder).attempt(attempt);
  options->attempt = attempt;
  options->task_id = task.id;
  return options;
}

}  // namespace

TaskContext::TaskContext(std::filesystem::path task_folder, int attempt, Task task, Device device,
                         std::unique_ptr<QueuedCommunicator> communicator,
                         std::unique_ptr<QueuedCommunicator> control, std::unique_ptr<GpuMetrics> gpus,
                         std::function<void(const Error&)> gpu_lost, std::optional<double> deadline)
    : task_folder_(std::move(task_folder)),
      attempt_(attempt),
      task_(std::move(task)),
      device_(device),
      artifacts_(TaskPaths(task_folder_).artifacts()),
      communicator_(std::move(communicator)),
      control_(std::move(control)),
      gpus_(std::move(gpus)),
      gpu_lost_(std::move(gpu_lost)),
      fence_(task_folder_, attempt),
      policy_(task_.policy, deadline, unix_now()),
      began_(unix_now()) {
  if (is_root()) {
    fence_.check();
    make_folders(artifacts_);
    events_ = std::make_unique<EventLog>(AttemptPaths(TaskPaths(task_folder_).attempt(attempt)).events());
    events_->append("started", progress_);
  }
  metrics_ = std::make_unique<TaskMetrics>(sink_options(task_folder_, attempt_, task_, control_->rank()),
                                           gpus_ != nullptr);
  checkpoints_ = std::make_unique<CheckpointStore>(CheckpointStoreOptions{
      .task_folder = task_folder_,
      .attempt = attempt_,
      .control = *control_,
      .metrics = *metrics_,
      .saved =
          [this](std::int64_t step, double began, double ended) {
            policy_.saved(began, ended);
            events_->append("checkpoint", Progress{step, progress_.total_steps, ""});
          },
      .loaded =
          [this](std::int64_t step, int writer) {
            progress_.step = step;
            events_->append("resumed",
                            Progress{step, 0, "from a checkpoint of attempt " + std::to_string(writer)});
          },
      .log = [this](const std::string& line) { log(line); }});
  // The folders are there for every rank.
  control_->barrier();
}

DeviceCommunicator* TaskContext::device_communicator() {
  const bool own_gpus = device_.kind == Device::Kind::cuda && !task_.resources.shares_gpus();
  if (!own_gpus || control_->size() == 1 || std::exchange(gpus_connected_, true))
    return device_communicator_.get();
  const CudaModule* cuda = nullptr;
  try {
    cuda = &load_cuda_module_everywhere(*control_, cuda_module_file(), device_.index);
  } catch (const Error& error) {
    log(std::string("GPUs exchange through host memory, which is slower: ") + error.what());
    return nullptr;
  }
  DeviceCommunicatorOptions options;
  options.device = device_.index;
  options.lost = gpu_lost_;
  device_communicator_ = cuda->connect(*control_, options);
  log("GPUs exchange through NCCL " + cuda->describe_nccl());
  return device_communicator_.get();
}

AfterStep TaskContext::after_step(const Progress& progress) {
  progress_ = progress;
  const AfterStep agreed = agree(own_wish());
  if (is_root()) {
    tell_progress(progress);
    if (gpus_ != nullptr) gpus_->write(*metrics_);
    metrics_->flush_if_due();
    if (agreed == AfterStep::save_and_stop) events_->append("stopping", progress);
  }
  return std::max(agreed, policy_.at_step(progress.step));
}

AfterStep TaskContext::own_wish() {
  const double now = unix_now();
  const AfterStep by_clock = policy_.after_step(now);
  stop_requested_ = stop_requested_ || stop_signalled();
  if (!is_root()) return stop_requested_ ? AfterStep::save_and_stop : AfterStep::go_on;
  if (now - polled_ >= kPollSeconds) {
    polled_ = now;
    fence_.check();
    std::error_code ignored;
    stop_requested_ = stop_requested_ ||
                      std::filesystem::exists(
                          AttemptPaths(TaskPaths(task_folder_).attempt(attempt_)).stop_request(), ignored);
  }
  return stop_requested_ ? AfterStep::save_and_stop : by_clock;
}

AfterStep TaskContext::agree(AfterStep wish) {
  if (control_->size() == 1) return wish;
  AfterStep earlier = AfterStep::go_on;
  if (pending_ != nullptr) {
    pending_->wait();
    pending_.reset();
    earlier = static_cast<AfterStep>(round_.wish);
    steps_are_slow_ = round_.slow != 0;
    if (earlier == AfterStep::save_and_stop) return earlier;
  }
  round_ = {static_cast<std::int64_t>(wish), policy_.slow_step() > kSlowStepSeconds ? 1 : 0};
  static_assert(sizeof(Round) == 2 * sizeof(std::int64_t));
  if (!steps_are_slow_) {
    pending_ = control_->all_reduce(&round_, 2, DType::i64, ReduceOp::maximum);
    return earlier;
  }
  control_->all_reduce_now(&round_, 2, DType::i64, ReduceOp::maximum);
  steps_are_slow_ = round_.slow != 0;
  return std::max(earlier, static_cast<AfterStep>(round_.wish));
}

void TaskContext::tell_progress(const Progress& progress) {
  const double now = unix_now();
  if (now - progress_told_ < kProgressSeconds) return;
  progress_told_ = now;
  events_->append("progress", progress);
}

void TaskContext::log(const std::string& line, bool every_rank) {
  if (!is_root() && !every_rank) return;
  if (every_rank)
    std::printf("[rank %d] %s\n", control_->rank(), line.c_str());
  else
    std::printf("%s\n", line.c_str());
  std::fflush(stdout);
}

Outcome TaskContext::finish(Outcome outcome) {
  if (pending_ != nullptr) pending_->wait();
  pending_.reset();
  auto agreed = static_cast<std::int32_t>(outcome);
  control_->all_reduce_now(&agreed, 1, DType::i32, ReduceOp::maximum);
  if (gpus_ != nullptr) gpus_->finish(*control_, *metrics_);
  if (is_root()) {
    metrics_->close();
    fence_.check();
    events_->append(agreed == static_cast<std::int32_t>(Outcome::stopped) ? "stopped" : "finished",
                    progress_);
    char line[120];
    std::snprintf(line, sizeof line, "metrics and events took %.4f s of %.2f s",
                  metrics_->seconds() + events_->seconds(), unix_now() - began_);
    log(line);
  }
  // mpirun ends all ranks when the first leaves with another status than 0.
  control_->barrier();
  return static_cast<Outcome>(agreed);
}

}  // namespace muster
