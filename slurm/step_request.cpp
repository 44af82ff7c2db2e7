/// The line and the environment of srun, for a step inside an allocation.

#include <algorithm>
#include <iterator>
#include <sstream>

#include "core/error.hpp"
#include "slurm/job_request.hpp"

namespace muster {
namespace {

/// Steps of one job side by side: each on CPUs of its own, or, oversubscribed, on the same.
std::vector<const char*> sharing_options(const SlurmVersion& version, bool oversubscribe) {
  if (!version.at_least(20, 11))
    return oversubscribe ? std::vector<const char*>{} : std::vector{"--exclusive"};
  if (oversubscribe) return {"--overlap"};
  // 20.11.0 to .2 are so by themselves and do not know --exact.
  const bool before_exact = version.major == 20 && version.minor == 11 && version.micro < 3;
  return before_exact ? std::vector<const char*>{} : std::vector{"--exact"};
}

/// Options of srun as variables, which the job or its user's shell may have set: beside our arguments they
/// would contradict them (srun then refuses) or change what they mean.
constexpr const char* kOptionVariables =
    "SLURM_CPUS_PER_TASK SRUN_CPUS_PER_TASK SLURM_TRES_PER_TASK SLURM_MEM_PER_NODE "
    "SLURM_MEM_PER_CPU SLURM_MEM_PER_GPU SLURM_GPUS SLURM_GPUS_PER_NODE SLURM_GPUS_PER_TASK "
    "SLURM_GPUS_PER_SOCKET SLURM_CPUS_PER_GPU SLURM_GPU_BIND SLURM_GPU_FREQ SLURM_TRES_BIND "
    "SLURM_GRES SLURM_GRES_FLAGS SLURM_NTASKS SLURM_NPROCS SLURM_JOB_NUM_NODES SLURM_NNODES "
    "SLURM_NTASKS_PER_NODE SLURM_NTASKS_PER_CORE SLURM_NTASKS_PER_SOCKET SLURM_NTASKS_PER_GPU "
    "SLURM_NTASKS_PER_TRES SLURM_TASKS_PER_NODE SLURM_NCORES_PER_SOCKET SLURM_NSOCKETS_PER_NODE "
    "SLURM_DISTRIBUTION SLURM_HOSTFILE SLURM_CPU_BIND SLURM_MEM_BIND SLURM_HINT SLURM_THREADS "
    "SLURM_THREADS_PER_CORE SLURM_CORE_SPEC SLURM_THREAD_SPEC SLURM_EXACT SLURM_OVERLAP "
    "SLURM_EXCLUSIVE SLURM_OVERCOMMIT SLURM_SPREAD_JOB SLURM_SPREAD_SEGMENTS "
    "SLURM_CONSOLIDATE_SEGMENTS SRUN_SEGMENT_SIZE SLURM_USE_MIN_NODES SLURM_CONSTRAINT "
    "SLURM_CLUSTER_CONSTRAINT SLURM_REQ_SWITCH SLURM_DELAY_BOOT SLURM_DEPENDENCY SLURM_BURST_BUFFER "
    "SLURM_RESV_PORTS SLURM_TIMELIMIT SLURM_SIGNAL SLURM_WAIT SLURM_KILL_BAD_EXIT SLURM_NO_KILL "
    "SLURM_MPI_TYPE SLURM_EXPORT_ENV SRUN_EXPORT_ENV SLURM_REMOTE_CWD SLURM_WORKING_DIR "
    "SLURM_LABELIO SLURM_STDINMODE SLURM_STDOUTMODE SLURM_STDERRMODE SRUN_INPUT SRUN_OUTPUT "
    "SRUN_ERROR SLURM_OPEN_MODE SLURM_UNBUFFEREDIO SLURM_SRUN_MULTI SLURM_CONTAINER SRUN_CONTAINER "
    "SRUN_CONTAINER_ID SRUN_RUNTIME SLURM_DEBUG SRUN_DEBUG";

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
  for (const char* option : sharing_options(capabilities.version, request.oversubscribe)) {
    arguments.emplace_back(option);
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
  arguments.push_back(request.gpus_per_host > 0 ? "--gres=gpu:" + std::to_string(request.gpus_per_host)
                                                : "--gres=none");
  // The job's memory, shared by its steps: any other amount is taken from what the next step may have.
  arguments.emplace_back("--mem=0");
  if (!request.hosts.empty()) arguments.push_back("--nodelist=" + joined(request.hosts));
  arguments.emplace_back(request.mpi ? "--mpi=pmix" : "--mpi=none");
  if (capabilities.binds_cpus()) {
    arguments.emplace_back(request.oversubscribe ? "--cpu-bind=none" : "--cpu-bind=cores");
  }
  arguments.emplace_back("--input=none");
  if (!request.job_name.empty()) arguments.push_back("--job-name=" + request.job_name);
  return arguments;
}

std::vector<std::string> variables_against_srun() {
  std::istringstream names(kOptionVariables);
  return {std::istream_iterator<std::string>(names), {}};
}

}  // namespace muster
