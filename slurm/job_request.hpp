#pragma once
/// What is asked of Slurm: a job, and a step of one. The texts are pure functions of capabilities and
/// request.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/slurm_options.hpp"
#include "slurm/capabilities.hpp"

namespace muster {

/// A time as sbatch takes it ("90", "1:30:00", "2-00", "2-12:30:00") in seconds; nullopt where it is none.
/// "UNLIMITED" and "INFINITE" are the largest value.
std::optional<std::int64_t> parse_slurm_time(const std::string& text);
/// "2-12:30:00".
std::string format_slurm_time(std::int64_t seconds);

struct JobRequest {
  std::string name;   ///< job's name: the experiment's
  std::string token;  ///< ours, in --comment
  SlurmOptions options;
  int nodes = 1;
  int tasks_per_node = 1;  ///< ranks, for Slurm's view of the job
  int cpus_per_task = 1;
  int gpus_per_node = 0;
  std::string array;                 ///< "0-3,7"; empty: no array
  std::vector<std::string> after;    ///< job ids: starts when these have ended well
  std::vector<std::string> command;  ///< what the batch script executes
  std::filesystem::path working_folder;
  std::filesystem::path output;  ///< of the batch script; %A, %a, %j as Slurm fills them
  int signal_seconds = 120;      ///< USR1 to the batch script so long before the time limit
};

/// Options of `sbatch`, each one argument ("--partition=gpu"); nothing passes a shell.
std::vector<std::string> sbatch_arguments(const SlurmCapabilities& capabilities, const JobRequest& request);

/// The batch script: prologue, modules, then `exec COMMAND`. Every value is quoted for bash.
std::string batch_script(const SlurmCapabilities& capabilities, const JobRequest& request);

struct StepRequest {
  std::vector<std::string> hosts;  ///< of the job's, each with ranks_per_host ranks
  int ranks = 1;
  int cpus_per_rank = 1;
  int gpus_per_host = 0;
  bool mpi = false;        ///< ranks find each other by PMIx
  bool whole_gang = true;  ///< a rank's failure ends the step
  bool oversubscribe = false;
  std::string job_name;  ///< of the step
};

/// `srun ...` up to the command of the rank; for inside an allocation. Throws Error(config) where a step with
/// MPI is asked of a Slurm without PMIx.
std::vector<std::string> srun_arguments(const SlurmCapabilities& capabilities, const StepRequest& request);

/// Variables of a batch job's environment that must be unset for srun to do what its arguments say
/// (SLURM_CPUS_PER_TASK, SLURM_TRES_PER_TASK, SLURM_MEM_PER_NODE, ...).
std::vector<std::string> variables_against_srun();

/// Slurm can be asked beforehand: partition, nodes, CPUs, GPUs of the type, time. Throws Error(resources or
/// config) with what there is, at the place of the option.
void check_request(const SlurmCapabilities& capabilities, const JobRequest& request,
                   const std::map<std::string, SourcePlace>& places);

/// `text` as one word of bash.
std::string shell_quoted(const std::string& text);

}  // namespace muster
