/// muster-shim ATTEMPT_FOLDER: starts one gang, waits for it, leaves nothing of it behind and writes how it
/// ended. muster-shim --rank COMMAND: one rank of a step of Slurm's. docs/gangs.md has its whole contract. It
/// stays small: it must start in milliseconds and never be what fails.

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/durable_file.hpp"
#include "core/error.hpp"
#include "core/error_report.hpp"
#include "core/process_identity.hpp"
#include "core/run_paths.hpp"
#include "core/unix_time.hpp"
#include "launcher/exit_record.hpp"
#include "launcher/gang_order.hpp"
#include "launcher/process_table.hpp"
#include "launcher/rank_end.hpp"

namespace muster {

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kCannotExecute = 126;
constexpr int kCommandNotFound = 127;

/// From here on what this process and its gang print goes to the attempt's log.
void redirect_output(const std::filesystem::path& log) {
  const int file = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) throw_storage_error(log, "open", errno);
  const int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO);
  dup2(file, STDOUT_FILENO);
  dup2(file, STDERR_FILENO);
}

void bind_to(const std::vector<int>& cpus) {
  if (cpus.empty()) return;
  const auto bits = static_cast<std::size_t>(*std::max_element(cpus.begin(), cpus.end())) + 1;
  cpu_set_t* set = CPU_ALLOC(bits);
  CPU_ZERO_S(CPU_ALLOC_SIZE(bits), set);
  for (const int cpu : cpus) CPU_SET_S(static_cast<std::size_t>(cpu), CPU_ALLOC_SIZE(bits), set);
  if (sched_setaffinity(0, CPU_ALLOC_SIZE(bits), set) != 0) {
    std::fprintf(stderr, "muster-shim: warning: cannot bind the gang to its CPUs: %s\n",
                 std::strerror(errno));
  }
  CPU_FREE(set);
}

[[noreturn]] void become_gang(const GangOrder& order, pid_t shim) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != shim) _exit(kCannotExecute);
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal != SIGKILL && signal != SIGSTOP) ::signal(signal, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  bind_to(order.cpus);
  for (const std::string& name : order.unset) unsetenv(name.c_str());
  for (const auto& [name, value] : order.environment) setenv(name.c_str(), value.c_str(), 1);
  if (!order.working_folder.empty() && chdir(order.working_folder.c_str()) != 0) {
    std::fprintf(stderr, "muster-shim: cannot enter '%s': %s\n", order.working_folder.c_str(),
                 std::strerror(errno));
    _exit(kCannotExecute);
  }
  std::vector<char*> argv;
  for (const std::string& argument : order.argv) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  const int error_number = errno;
  std::fprintf(stderr, "muster-shim: cannot start '%s': %s\n", argv[0], std::strerror(error_number));
  _exit(error_number == ENOENT ? kCommandNotFound : kCannotExecute);
}

void signal_all(const std::vector<int>& processes, int signal) {
  for (const int process : processes) kill(process, signal);
}

/// The gang as the shim sees it: the child it started, and all that descends from it.
class Gang {
 public:
  explicit Gang(const GangOrder& order) : order_(order), child_(fork_child()) {}

  /// Returns the child's wait status once it has ended. Signals must be blocked.
  int wait_for_child(const sigset_t& signals) {
    std::optional<Clock::time_point> kill_at;
    while (!ended_) {
      // SIGCHLD that came before this wait is still pending, so none is missed.
      timespec timeout{3600, 0};
      if (kill_at) timeout = {0, 100'000'000};
      const int signal = sigtimedwait(&signals, nullptr, &timeout);
      if (signal == SIGUSR1) kill(child_, SIGUSR1);
      if (signal == SIGTERM || signal == SIGINT) {
        signal_all(descendants_of(getpid()), SIGTERM);
        if (!kill_at)
          kill_at = Clock::now() + std::chrono::milliseconds(long(order_.kill_after_seconds * 1000));
      }
      if (kill_at && Clock::now() >= *kill_at) signal_all(descendants_of(getpid()), SIGKILL);
      reap();
    }
    return status_;
  }

  /// As the subreaper this process inherits every orphan of the gang: without children left, nothing is left.
  void end_what_is_left() {
    while (reap()) {
      signal_all(descendants_of(getpid()), SIGKILL);
      usleep(1000);
    }
  }

 private:
  pid_t fork_child() {
    const pid_t shim = getpid();
    const pid_t child = fork();
    if (child < 0) {
      throw Error(ExitCode::resources, std::string("cannot start a process: ") + std::strerror(errno),
                  "see 'ulimit -u' and the memory left");
    }
    if (child == 0) become_gang(order_, shim);
    return child;
  }

  /// False once there is no child of any kind.
  bool reap() {
    while (true) {
      int status = 0;
      const pid_t ended = waitpid(-1, &status, WNOHANG);
      if (ended == child_) {
        status_ = status;
        ended_ = true;
      }
      if (ended == 0) return true;
      if (ended < 0) return errno == EINTR;
    }
  }

  const GangOrder& order_;
  pid_t child_;
  int status_ = 0;  ///< of the child, once it has ended
  bool ended_ = false;
};

ExitRecord run_gang(const GangOrder& order, const sigset_t& signals) {
  ExitRecord record;
  record.started = unix_now();
  Gang gang(order);
  const int status = gang.wait_for_child(signals);
  gang.end_what_is_left();
  record.ended = unix_now();
  record.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  record.exit_code = WIFSIGNALED(status) ? 128 + record.signal : WEXITSTATUS(status);
  return record;
}

/// srun's 0 counts only with that of each rank.
void look_at_ranks(const AttemptPaths& attempt, const GangOrder& order, ExitRecord& record) {
  if (!order.ranks_report) return;
  const int count = static_cast<int>(order.ranks.size());
  if (record.exit_code != 0) {
    record.never_started = record.signal == 0 && !any_rank_started(attempt, count);
    return;
  }
  const auto lost = ranks_without_good_end(attempt, count);
  if (lost.empty()) return;
  std::fprintf(stderr, "muster-shim: srun returned 0, but %zu of %zu ranks did not, such as rank %d\n",
               lost.size(), order.ranks.size(), lost.front());
  record.lost_ranks = true;
  record.never_started = !any_rank_started(attempt, count);
  record.exit_code = static_cast<int>(ExitCode::task_failed);
}

int shim(const std::filesystem::path& folder) {
  const AttemptPaths attempt(folder);
  const GangOrder order = read_gang_order(attempt.gang());
  // Blocked before the claim is seen: whoever reads the claim may signal this process at once.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGCHLD, SIGUSR1, SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  if (!create_exclusively(order.claim, identity_to_json(own_identity())))
    return static_cast<int>(ExitCode::busy);
  const double claimed = unix_now();
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  ExitRecord record;
  int exit_code = 0;
  try {
    redirect_output(attempt.log());
    record = run_gang(order, signals);
    look_at_ranks(attempt, order, record);
  } catch (...) {
    exit_code = report_current_exception("muster-shim");
    record = {exit_code, 0, claimed, unix_now()};
  }
  write_durably(attempt.exit_record(), exit_record_to_json(record));
  return exit_code;
}

}  // namespace

}  // namespace muster

int main(int argc, char** argv) {
  const bool is_rank = argc > 2 && std::strcmp(argv[1], "--rank") == 0;
  if (argc != 2 && !is_rank) {
    std::fprintf(
        stderr,
        "usage: muster-shim ATTEMPT_FOLDER, or muster-shim --rank COMMAND ... (started by muster, see "
        "docs/gangs.md)\n");
    return static_cast<int>(muster::ExitCode::usage);
  }
  try {
    if (is_rank) return muster::run_rank(argv + 2);
    return muster::shim(argv[1]);
  } catch (...) {
    return muster::report_current_exception("muster-shim");
  }
}
