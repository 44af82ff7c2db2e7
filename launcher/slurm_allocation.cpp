#include "launcher/slurm_allocation.hpp"

#include <unistd.h>

#include <algorithm>

#include "core/error.hpp"
#include "launcher/gang_programs.hpp"
#include "launcher/node_shape.hpp"
#include "launcher/rank_end.hpp"
#include "slurm/job_request.hpp"
#include "slurm/job_steps.hpp"

namespace muster {

namespace {

constexpr const char* kStepName = "MUSTER_STEP";

/// `mpirun --host a:2,b:2`, for a Slurm whose srun cannot start MPI.
std::vector<std::string> over_hosts(std::vector<std::string> mpirun, const Assignment& assignment) {
  std::string hosts;
  for (const std::string& host : assignment.hosts()) {
    const auto ranks = std::count_if(assignment.ranks.begin(), assignment.ranks.end(),
                                     [&](const RankPlace& rank) { return rank.host == host; });
    hosts += (hosts.empty() ? "" : ",") + host + ":" + std::to_string(ranks);
  }
  mpirun.insert(mpirun.begin() + 1, {"--host", hosts});
  return mpirun;
}

}  // namespace

std::vector<Slots> slots_of(const OwnJob& job) {
  std::vector<Slots> slots;
  for (const JobHost& host : job.hosts) slots.push_back(numbered_slots(host.name, host.cpus, host.gpus));
  return slots;
}

SlurmAllocation::SlurmAllocation(SlurmAllocationOptions options)
    : options_(std::move(options)),
      shims_({{}, options_.program_folder, options_.working_folder}),
      slots_(slots_of(options_.job)) {}

std::optional<double> SlurmAllocation::deadline() const {
  if (!options_.job.end) return std::nullopt;
  return static_cast<double>(*options_.job.end);
}

bool SlurmAllocation::by_srun(const Task& task) const {
  return !needs_mpirun(task) || options_.capabilities.has_pmix();
}

void SlurmAllocation::check(const Task& task) const {
  require_whole_gpus(task.resources, "task " + task.label);
  if (by_srun(task)) return require_torch(task, shims_.programs());
  if (task.resources.gpus_per_rank > 0) {
    throw Error(
        ExitCode::config,
        "this Slurm's srun cannot start MPI ranks (no PMIx), and mpirun cannot give them GPUs of their "
        "own beside other tasks",
        "ask the site for Slurm's PMIx plugin, or use one rank a task");
  }
  shims_.check(task);
}

GangOrder SlurmAllocation::order(const Task& task, const TaskPaths& paths, int attempt,
                                 const Assignment& assignment) const {
  GangOrder order;
  order.environment = gang_environment(task, paths, attempt, assignment, shims_.programs());
  order.environment.erase("MUSTER_CPUS");
  order.environment.erase("MUSTER_GPUS");
  order.environment[kStepName] = "muster-" + task.id + "-" + std::to_string(attempt);
  if (const auto end = deadline()) order.environment["MUSTER_DEADLINE"] = std::to_string(*end);
  if (task.resources.gpus_per_rank > 0) order.environment.erase("CUDA_VISIBLE_DEVICES");
  const std::vector<std::string> hosts = assignment.hosts();
  if (by_srun(task)) {
    StepRequest step;
    step.hosts = hosts;
    step.ranks = task.resources.ranks;
    step.cpus_per_rank = task.resources.cpus_per_rank;
    step.gpus_per_host = static_cast<int>(task.resources.gpus_of(step.ranks / std::ssize(hosts)));
    step.mpi = task.resources.ranks > 1;
    step.oversubscribe = task.resources.oversubscribe;
    step.job_name = order.environment[kStepName];
    order.argv = srun_arguments(options_.capabilities, step);
    order.ranks_report = true;
    order.argv.insert(order.argv.end(), {(options_.program_folder / "muster-shim").string(), "--rank"});
    const auto command = rank_command(task, paths, attempt, shims_.programs());
    order.argv.insert(order.argv.end(), command.begin(), command.end());
    order.unset = variables_against_srun();
    // A command may be linked to any MPI.
    if (task.workload == "exec") {
      for (const auto& [name, value] : shims_.programs().mpi_environment) order.environment.erase(name);
    }
  } else {
    order.argv = over_hosts(gang_command(task, paths, attempt, shims_.programs()), assignment);
    // Without it the daemons of gangs on one host wait for each other.
    order.environment["OMPI_MCA_plm_slurm_args"] = "--overlap";
  }
  order.ranks = assignment.ranks;
  order.claim = paths.claim(attempt);
  order.working_folder = options_.working_folder;
  order.launcher = own_identity();
  return order;
}

bool SlurmAllocation::came_up(const Task& task, const AttemptPaths& attempt) const {
  // mpirun starts ranks that do not report.
  return !by_srun(task) || any_rank_started(attempt, 1);
}

int SlurmAllocation::end_leftovers(const GangOrder& order) {
  const std::string here = own_identity().host;
  const bool was_here =
      order.launcher.host == here ||
      std::ranges::any_of(order.ranks, [&](const RankPlace& rank) { return rank.host == here; });
  int ended = was_here ? shims_.end_leftovers(order) : 0;
  const auto name = order.environment.find(kStepName);
  // Steps of an earlier job ended with it.
  if (name != order.environment.end() && order.launcher.job == options_.job.id)
    ended += cancel_steps(options_.job.id, name->second);
  return ended;
}

}  // namespace muster
