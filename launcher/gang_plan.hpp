#pragma once
/// The command line and environment of a task's gang. Pure: nothing is looked up.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/error.hpp"
#include "core/run_paths.hpp"
#include "core/task.hpp"
#include "launcher/packer.hpp"

namespace muster {

/// The programs that gangs on this machine need.
struct GangPrograms {
  std::filesystem::path runner;           ///< muster-runner
  bool as_root = false;                   ///< Open MPI refuses root unless told twice that it may
  std::string mpirun = "mpirun";          ///< of the MPI that muster-runner is linked to
  std::string machine_mpirun = "mpirun";  ///< starts commands of `exec`, which may be linked to another
  std::map<std::string, std::string> mpi_environment;  ///< of `mpirun`, and of muster-runner without it
  std::string library_path;       ///< LD_LIBRARY_PATH of muster-runner; "" leaves it as it is
  std::optional<Error> no_torch;  ///< why the workloads of a bundle cannot be loaded
};

/// What a rank of the gang runs: muster-runner with the task, or the command of `exec` with its placeholders
/// filled.
std::vector<std::string> rank_command(const Task& task, const TaskPaths& paths, int attempt,
                                      const GangPrograms& programs);

/// `mpirun ... rank_command`; one rank runs bare.
std::vector<std::string> gang_command(const Task& task, const TaskPaths& paths, int attempt,
                                      const GangPrograms& programs);

/// True where gang_command starts with mpirun.
bool needs_mpirun(const Task& task);

/// The mpirun that starts its ranks, where it needs one.
const std::string& mpirun_of(const Task& task, const GangPrograms& programs);

/// Added to the launcher's environment; docs/gangs.md lists the names.
std::map<std::string, std::string> gang_environment(const Task& task, const TaskPaths& paths, int attempt,
                                                    const Assignment& assignment,
                                                    const GangPrograms& programs);

/// "exchange.algorithm" -> "MUSTER_PARAM_EXCHANGE_ALGORITHM".
std::string parameter_variable(const std::string& parameter);

}  // namespace muster
