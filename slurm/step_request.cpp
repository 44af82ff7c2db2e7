/// The line and the environment of srun, for a step inside an allocation.

#include <algorithm>

#include "core/error.hpp"
#include "slurm/job_request.hpp"

namespace muster {
namespace {

enum class Sharing { exclusive, as_it_is, exact };

/// What makes steps of one job run side by side, each on CPUs of its own.
Sharing sharing_of(const SlurmVersion& version) {
  if (!version.at_least(20, 11)) return Sharing::exclusive;
  // 20.11.0 to .2 are so by themselves and do not know --exact.
  const bool before_exact = version.major == 20 && version.minor == 11 && version.micro < 3;
  return before_exact ? Sharing::as_it_is : Sharing::exact;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : ",") + word;
  return text;
}

}  // namespace

std::vector<std::string> srun_arguments(const SlurmCapabilities& capabilities, const StepRequest& request) {
  const int hosts = std::max<int>(1, static_cast<int>(request.hosts.size()));
  const int ranks_per_host = request.ranks / hosts;
  MUSTER_ASSERT(request.ranks > 0 && ranks_per_host * hosts == request.ranks);
  if (request.mpi && !capabilities.has_pmix()) {
    throw Error(ExitCode::config, "this Slurm cannot start MPI ranks: `srun --mpi=list` does not name pmix",
                "ask for a Slurm built with PMIx, or start the gang with mpirun");
  }

  std::vector<std::string> arguments{"srun"};
  if (request.oversubscribe) {
    arguments.emplace_back("--overlap");
  } else if (const Sharing sharing = sharing_of(capabilities.version); sharing == Sharing::exact) {
    arguments.emplace_back("--exact");
  } else if (sharing == Sharing::exclusive) {
    arguments.emplace_back("--exclusive");
  }
  arguments.push_back("--kill-on-bad-exit=" + std::string(request.whole_gang ? "1" : "0"));
  arguments.push_back("--nodes=" + std::to_string(hosts));
  arguments.push_back("--ntasks=" + std::to_string(request.ranks));
  arguments.push_back("--ntasks-per-node=" + std::to_string(ranks_per_host));
  // 22.05 and 23.02 do not inherit it.
  arguments.push_back("--cpus-per-task=" + std::to_string(request.cpus_per_rank));
  arguments.emplace_back("--distribution=block");
  // All of a host's GPUs for each of its ranks, which choose by their local rank: as under mpirun. A step
  // that asks for none would be given all of the job's.
  arguments.push_back(request.gpus_per_rank > 0
                          ? "--gres=gpu:" + std::to_string(request.gpus_per_rank * ranks_per_host)
                          : "--gres=none");
  if (capabilities.tracks_memory()) arguments.emplace_back("--mem=0");
  if (!request.hosts.empty()) arguments.push_back("--nodelist=" + joined(request.hosts));
  arguments.emplace_back(request.mpi ? "--mpi=pmix" : "--mpi=none");
  if (capabilities.binds_cpus()) {
    arguments.emplace_back(request.oversubscribe ? "--cpu-bind=none" : "--cpu-bind=cores");
  }
  arguments.emplace_back("--input=none");
  if (!request.job_name.empty()) arguments.push_back("--job-name=" + request.job_name);
  return arguments;
}

std::map<std::string, std::string> srun_environment(const SlurmCapabilities& /*capabilities*/,
                                                    const StepRequest& /*request*/) {
  std::map<std::string, std::string> environment;
  // Each is an option of srun that the job or its user's shell may have set: beside our arguments it would
  // contradict them (srun then refuses) or change what they mean.
  for (const char* name : {"SLURM_CPUS_PER_TASK",
                           "SRUN_CPUS_PER_TASK",
                           "SLURM_TRES_PER_TASK",
                           "SLURM_MEM_PER_NODE",
                           "SLURM_MEM_PER_CPU",
                           "SLURM_MEM_PER_GPU",
                           "SLURM_GPUS",
                           "SLURM_GPUS_PER_NODE",
                           "SLURM_GPUS_PER_TASK",
                           "SLURM_GPUS_PER_SOCKET",
                           "SLURM_CPUS_PER_GPU",
                           "SLURM_GPU_BIND",
                           "SLURM_GPU_FREQ",
                           "SLURM_TRES_BIND",
                           "SLURM_GRES",
                           "SLURM_STEP_GRES",
                           "SLURM_GRES_FLAGS",
                           "SLURM_NTASKS",
                           "SLURM_NPROCS",
                           "SLURM_NNODES",
                           "SLURM_JOB_NUM_NODES",
                           "SLURM_NTASKS_PER_NODE",
                           "SLURM_NTASKS_PER_CORE",
                           "SLURM_NTASKS_PER_SOCKET",
                           "SLURM_NTASKS_PER_GPU",
                           "SLURM_NTASKS_PER_TRES",
                           "SLURM_TASKS_PER_NODE",
                           "SLURM_DISTRIBUTION",
                           "SLURM_HOSTFILE",
                           "SLURM_ARBITRARY_NODELIST",
                           "SLURM_CPU_BIND",
                           "SLURM_CPU_BIND_TYPE",
                           "SLURM_CPU_BIND_LIST",
                           "SLURM_CPU_BIND_VERBOSE",
                           "SLURM_MEM_BIND",
                           "SLURM_MEM_BIND_TYPE",
                           "SLURM_MEM_BIND_LIST",
                           "SLURM_MEM_BIND_VERBOSE",
                           "SLURM_HINT",
                           "SLURM_THREADS_PER_CORE",
                           "SLURM_CORE_SPEC",
                           "SLURM_THREAD_SPEC",
                           "SLURM_EXACT",
                           "SLURM_WHOLE",
                           "SLURM_OVERLAP",
                           "SLURM_EXCLUSIVE",
                           "SLURM_OVERCOMMIT",
                           "SLURM_MPI_TYPE",
                           "SLURM_EXPORT_ENV",
                           "SLURM_WORKING_DIR",
                           "SLURM_LABELIO",
                           "SLURM_STDINMODE",
                           "SLURM_STDOUTMODE",
                           "SLURM_STDERRMODE",
                           "SLURM_OPEN_MODE",
                           "SLURM_UNBUFFEREDIO",
                           "SLURM_IMMEDIATE",
                           "SLURM_KILL_BAD_EXIT",
                           "SLURM_MULTI_PROG",
                           "SLURM_NO_KILL",
                           "SLURM_TIMELIMIT",
                           "SLURM_WAIT",
                           "SLURM_DEPENDENCY",
                           "SLURM_CONSTRAINT",
                           "SLURM_CLUSTER_CONSTRAINT",
                           "SLURM_SPREAD_JOB",
                           "SLURM_USE_MIN_NODES",
                           "SLURM_CONTAINER",
                           "SRUN_CONTAINER",
                           "SLURM_DEBUG",
                           "SRUN_DEBUG"}) {
    environment[name] = "";
  }
  return environment;
}

}  // namespace muster
