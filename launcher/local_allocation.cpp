#include "launcher/local_allocation.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "core/cpu_list.hpp"
#include "core/error.hpp"
#include "core/mps.hpp"
#include "core/nvml.hpp"
#include "launcher/gang_programs.hpp"
#include "launcher/gpu_slots.hpp"
#include "launcher/process_table.hpp"

namespace muster {

namespace {

/// Through a pidfd where the kernel has it: a pid that is reused between the look and the signal is not hit.
void signal_if_alive(const ProcessIdentity& process, int signal) {
  const int handle = static_cast<int>(syscall(SYS_pidfd_open, process.pid, 0));
  if (liveness(process) == Liveness::alive) {
    if (handle >= 0) {
      syscall(SYS_pidfd_send_signal, handle, signal, nullptr, 0);
    } else {
      kill(process.pid, signal);
    }
  }
  if (handle >= 0) close(handle);
}

}  // namespace

Slots local_slots(std::optional<int> cpus, std::optional<int> gpus) {
  Slots slots;
  slots.cpus = allowed_cpus();
  if (cpus && static_cast<std::size_t>(*cpus) < slots.cpus.size())
    slots.cpus.resize(static_cast<std::size_t>(*cpus));
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  const std::vector<std::string> found = visible == nullptr ? Nvml().slots() : std::vector<std::string>();
  slots.gpus =
      gpu_slots(found, visible == nullptr ? std::nullopt : std::optional<std::string>(visible), gpus);
  return slots;
}

LocalAllocation::LocalAllocation(LocalAllocationOptions options)
    : options_(std::move(options)),
      slots_{options_.slots},
      programs_(find_gang_programs(options_.program_folder)) {}

void LocalAllocation::check(const Task& task) const {
  if (task.resources.gpu_sharing == GpuSharing::mps) require_mps();
  require_torch(task, programs_);
  const std::string& mpirun = mpirun_of(task, programs_);
  if (needs_mpirun(task) && !find_command(mpirun, options_.working_folder)) {
    throw Error(ExitCode::config, mpirun + " is not there, and ranks are started by it",
                "install Open MPI (Debian: openmpi-bin), or load your site's module and start muster again");
  }
  const bool is_exec = task.workload == "exec";
  const std::string command = rank_command(task, TaskPaths("."), 1, programs_).front();
  if (!find_command(command, options_.working_folder)) {
    throw Error(ExitCode::config, "the command '" + command + "' of task " + task.label + " is not there",
                is_exec ? "check its name, PATH, and that it may be executed; a relative path counts from " +
                              options_.working_folder.string()
                        : "build all of muster, or keep bin/ together when you move it");
  }
  const std::filesystem::path shim = options_.program_folder / "muster-shim";
  if (!find_command(shim, options_.working_folder)) {
    throw Error(ExitCode::config, "'" + shim.string() + "' is not there, and gangs are started by it",
                "build all of muster, or keep bin/ together when you move it");
  }
}

GangOrder LocalAllocation::order(const Task& task, const TaskPaths& paths, int attempt,
                                 const Assignment& assignment) const {
  GangOrder order;
  order.argv = gang_command(task, paths, attempt, programs_);
  order.environment = gang_environment(task, paths, attempt, assignment, programs_);
  order.cpus = assignment.cpus();
  order.ranks = assignment.ranks;
  order.claim = paths.claim(attempt);
  order.working_folder = options_.working_folder;
  order.launcher = own_identity();
  return order;
}

void LocalAllocation::start(const AttemptPaths& attempt) {
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);

  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::string shim = (options_.program_folder / "muster-shim").string();
  std::string folder = attempt.folder().string();
  char* argv[] = {shim.data(), folder.data(), nullptr};
  pid_t pid = -1;
  const int error_number = posix_spawn(&pid, shim.c_str(), &files, &attributes, argv, environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (error_number != 0) {
    throw Error(ExitCode::resources, "cannot start '" + shim + "': " + std::strerror(error_number),
                "see 'ulimit -u' and the memory left");
  }
  shims_[folder] = pid;
}

bool LocalAllocation::look_after(Shims::iterator shim) {
  int status = 0;
  if (waitpid(shim->second, &status, WNOHANG) != shim->second) return true;
  exited_shims_[shim->first] = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  shims_.erase(shim);
  return false;
}

std::optional<bool> LocalAllocation::shim_lives(const AttemptPaths& attempt) {
  const auto shim = shims_.find(attempt.folder().string());
  if (shim != shims_.end()) return look_after(shim);
  return exited_shims_.contains(attempt.folder().string()) ? std::optional(false) : std::nullopt;
}

std::optional<int> LocalAllocation::failed_start(const AttemptPaths& attempt) {
  shim_lives(attempt);
  const auto exited = exited_shims_.find(attempt.folder().string());
  return exited == exited_shims_.end() ? std::nullopt : std::optional(exited->second);
}

Liveness LocalAllocation::alive(const ProcessIdentity& claim) const { return liveness(claim); }

void LocalAllocation::ask_to_stop(const ProcessIdentity& claim) { signal_if_alive(claim, SIGUSR1); }

void LocalAllocation::end(const ProcessIdentity& claim) { signal_if_alive(claim, SIGTERM); }

int LocalAllocation::end_leftovers(const GangOrder& order) {
  const auto mark = order.environment.find("MUSTER_ATTEMPT");
  return mark == order.environment.end() ? 0
                                         : end_processes_with_environment("MUSTER_ATTEMPT=" + mark->second);
}

}  // namespace muster
