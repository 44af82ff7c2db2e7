#include "launcher/gang_plan.hpp"

#include <cctype>
#include <cstdlib>

#include "core/command_template.hpp"
#include "core/cpu_list.hpp"

namespace muster {

namespace {

constexpr const char* kExec = "exec";

std::string join(const std::vector<std::string>& items, const char* separator) {
  std::string text;
  for (const std::string& item : items) {
    if (!text.empty()) text += separator;
    text += item;
  }
  return text;
}

/// Open MPI looks for every interconnect it knows, which takes longer than all the rest of its start; the
/// ranks of one host need none. As variables, since another MPI's mpirun would refuse `--mca`.
/// docs/communicator.md has the numbers.
std::map<std::string, std::string> single_host_mpi() {
  return {{"OMPI_MCA_pml", "ob1"}, {"OMPI_MCA_btl", "self,vader"}, {"OMPI_MCA_osc", "^ucx"}};
}

/// Over one connection Open MPI 4's TCP sends in one direction at a time, and a ring takes twice as long as
/// the link needs. docs/communicator.md has the numbers.
constexpr const char* kTcpConnections = "OMPI_MCA_btl_tcp_links";

/// The part of a GPU's processors that a rank may use, in percent:
/// https://docs.nvidia.com/deploy/mps/latest/appendix-environment-variables.html
constexpr const char* kMpsThreads = "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE";

}  // namespace

std::vector<std::string> rank_command(const Task& task, const TaskPaths& paths, int attempt,
                                      const GangPrograms& programs) {
  if (task.workload == kExec) return fill_command(task.command, task.parameters);
  return {programs.runner.string(), "--task", paths.folder().string(), "--attempt", std::to_string(attempt)};
}

bool needs_mpirun(const Task& task) { return task.resources.ranks > 1; }

const std::string& mpirun_of(const Task& task, const GangPrograms& programs) {
  return task.workload == kExec ? programs.machine_mpirun : programs.mpirun;
}

std::vector<std::string> gang_command(const Task& task, const TaskPaths& paths, int attempt,
                                      const GangPrograms& programs) {
  const std::vector<std::string> command = rank_command(task, paths, attempt, programs);
  if (!needs_mpirun(task)) return command;
  // The launcher and the runner bind; mpirun must neither bind nor count cores where hardware threads are
  // slots.
  std::vector<std::string> argv{mpirun_of(task, programs), "--bind-to", "none", "--use-hwthread-cpus"};
  if (task.workload != kExec) {
    // When a rank dies nothing that the others do counts any more; mpirun would give them two seconds.
    argv.insert(argv.end(), {"--mca", "odls_base_sigkill_timeout", "0"});
  }
  if (task.resources.oversubscribe) {
    argv.insert(argv.end(), {"--oversubscribe", "--mca", "mpi_yield_when_idle", "1"});
  }
  argv.insert(argv.end(), {"-n", std::to_string(task.resources.ranks)});
  argv.insert(argv.end(), command.begin(), command.end());
  return argv;
}

std::map<std::string, std::string> gang_environment(const Task& task, const TaskPaths& paths, int attempt,
                                                    const Assignment& assignment,
                                                    const GangPrograms& programs) {
  std::string cpus;
  for (const RankPlace& rank : assignment.ranks)
    cpus += (cpus.empty() ? "" : ";") + format_cpu_list(rank.cpus);
  std::map<std::string, std::string> environment{
      {"MUSTER_ATTEMPT", paths.attempt(attempt).string()},
      {"MUSTER_CPUS", cpus},
      {"CUDA_VISIBLE_DEVICES", join(assignment.gpus(), ",")},
      {"CUDA_DEVICE_ORDER", "PCI_BUS_ID"},
      {"OMP_NUM_THREADS", std::to_string(task.resources.cpus_per_rank)},
  };
  if (task.resources.shares_gpus()) {
    std::string gpus;
    for (const RankPlace& rank : assignment.ranks) gpus += (gpus.empty() ? "" : ";") + join(rank.gpus, ",");
    environment["MUSTER_GPUS"] = gpus;
  }
  if (task.resources.gpu_sharing == GpuSharing::mps && !std::getenv(kMpsThreads))
    environment[kMpsThreads] = std::to_string(100 / task.resources.ranks_per_gpu);
  if (programs.as_root && needs_mpirun(task)) {
    environment["OMPI_ALLOW_RUN_AS_ROOT"] = "1";
    environment["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1";
  }
  if (needs_mpirun(task) && task.workload != kExec) {
    if (assignment.hosts().size() == 1) {
      environment.merge(single_host_mpi());
    } else if (!std::getenv(kTcpConnections)) {
      environment[kTcpConnections] = "2";
    }
  }
  if (task.workload != kExec || (needs_mpirun(task) && programs.machine_mpirun == programs.mpirun))
    environment.insert(programs.mpi_environment.begin(), programs.mpi_environment.end());
  if (task.workload != kExec && !programs.library_path.empty())
    environment["LD_LIBRARY_PATH"] = programs.library_path;
  if (task.workload == kExec) {
    environment["MUSTER_TASK_ID"] = task.id;
    environment["MUSTER_TASK_FOLDER"] = paths.folder().string();
    environment["MUSTER_SEED"] = std::to_string(task.seed());
    for (const auto& [name, value] : task.parameters) environment[parameter_variable(name)] = value.text();
  }
  return environment;
}

std::string parameter_variable(const std::string& parameter) {
  std::string variable = "MUSTER_PARAM_";
  for (const char c : parameter) {
    const auto byte = static_cast<unsigned char>(c);
    variable += std::isalnum(byte) ? static_cast<char>(std::toupper(byte)) : '_';
  }
  return variable;
}

}  // namespace muster
