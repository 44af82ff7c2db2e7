#include "runner/gang_task.hpp"

#include <malloc.h>

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "core/error.hpp"
#include "core/mps.hpp"
#include "core/run_paths.hpp"
#include "runner/binding_proof.hpp"
#include "runner/comm/mpi_session.hpp"
#include "runner/device_plan.hpp"
#include "runner/failure.hpp"
#include "runner/gpu_metrics.hpp"
#include "runner/plugin.hpp"
#include "runner/task_context.hpp"

namespace muster {
namespace {

/// The C library would give the large blocks of every step back to the kernel, to be zeroed anew in the next:
/// kept, training steps of small networks are a sixth faster.
void keep_freed_memory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, 2'000'000'000);
  mallopt(M_TOP_PAD, 64 << 20);
}

std::optional<double> deadline() {
  const char* text = std::getenv("MUSTER_DEADLINE");
  if (text == nullptr || *text == '\0') return std::nullopt;
  return std::atof(text);
}

void require_ranks(const Task& task, const MpiSession& session) {
  if (session.size() == task.resources.ranks) return;
  throw Error(ExitCode::resources,
              "the gang has " + std::to_string(session.size()) + " ranks and the task asks for " +
                  std::to_string(task.resources.ranks),
              "start it as `mpirun -n " + std::to_string(task.resources.ranks) + " muster-runner ...`");
}

[[noreturn]] void end_gang(MpiSession* session, const std::filesystem::path& attempt_folder,
                           const Error& failure) {
  report_failure(failure, attempt_folder, session != nullptr ? session->rank() : launch_place().host_rank);
  const int code = static_cast<int>(failure.code());
  if (session != nullptr) session->abort(code);
  std::_Exit(code);
}

Outcome run_workload(MpiSession& session, const std::filesystem::path& task_folder, int attempt,
                     const Task& task, const DevicePlan& plan) {
  require_ranks(task, session);
  if (task.plugin.empty())
    throw Error(ExitCode::workload, "workload '" + task.workload + "' has no plugin that ranks could load",
                "start its command itself; the launcher does so for exec");
  auto control = session.world();
  const std::filesystem::path attempt_folder = TaskPaths(task_folder).attempt(attempt);
  const std::vector<RankBinding> ranks = prove_binding(
      *control, own_binding(session.rank(), plan, task.resources), AttemptPaths(attempt_folder).binding());
  const WorkloadPlugin& plugin = load_plugin(task.plugin);
  Device device = plan.device;
  const bool rehearses = device.kind == Device::Kind::cuda && has_unseen_gpus(ranks);
  if (rehearses) device.kind = Device::Kind::cpu;
  TaskContext context(
      task_folder, attempt, task, device, session.world(), std::move(control),
      GpuMetrics::of_gang(ranks, session.rank()),
      [&](const Error& failure) { end_gang(&session, attempt_folder, failure); }, deadline());
  if (rehearses) context.log("no driver shows the GPUs that were declared: computing on CPUs");
  Outcome outcome = Outcome::finished;
  {
    const auto workload = plugin.create();
    outcome = workload->run(context);
  }
  return context.finish(outcome);
}

}  // namespace

int run_gang_task(const std::filesystem::path& task_folder, int attempt) {
  const std::filesystem::path attempt_folder = TaskPaths(task_folder).attempt(attempt);
  std::unique_ptr<MpiSession> session;
  try {
    keep_freed_memory();
    const Task task = read_task(TaskPaths(task_folder).task_file());
    if (task.resources.gpu_sharing == GpuSharing::mps) require_mps();
    const DevicePlan plan = plan_device(task.resources, launch_place().host_rank, given_devices());
    apply(plan);
    session = MpiSession::of_task(task.resources.ranks);
    const Outcome outcome = run_workload(*session, task_folder, attempt, task, plan);
    session.reset();
    return static_cast<int>(outcome == Outcome::stopped ? ExitCode::stopped : ExitCode::ok);
  } catch (...) {
    end_gang(session.get(), attempt_folder, current_failure());
  }
}

}  // namespace muster
